//! Patterns over the fields of space-delimited messages.

use super::condition::Condition;
use super::words::Words;
use super::{BadPattern, bad};

#[derive(Debug)]
pub(super) struct Fields {
    before: Vec<Field>,
    /// Fields behind `...`; `None` where there is no such gap.
    behind: Option<Vec<Field>>,
}

/// What a field must be: any of these lists, of which every condition must hold. None at all: anything.
#[derive(Debug)]
struct Field(Vec<Vec<Condition>>);

pub(super) fn parse(text: &str) -> Result<Fields, BadPattern> {
    let mut words = Words::new(text);
    words.expect("[")?;
    let mut fields = Fields { before: Vec::new(), behind: None };
    loop {
        if words.eat("...") {
            if fields.behind.replace(Vec::new()).is_some() {
                return Err(bad("`...` stands twice"));
            }
        } else {
            let field = field(&mut words)?;
            fields.behind.as_mut().unwrap_or(&mut fields.before).push(field);
        }
        if words.eat("]") {
            break;
        }
        words.expect(",")?;
    }
    words.end()?;
    Ok(fields)
}

/// `name`, or `name = x && name != y || name = z`.
fn field(words: &mut Words<'_>) -> Result<Field, BadPattern> {
    let mut any: Vec<Vec<Condition>> = Vec::new();
    let mut name = None;
    loop {
        words.peek_past_space();
        let found = words.while_letters(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@'));
        if found.is_empty() || name.is_some_and(|name| name != found) {
            return Err(bad("a field has one name, the same in all of its conditions"));
        }
        name = Some(found);
        if any.is_empty() && matches!(words.peek_past_space(), Some(',' | ']')) {
            return Ok(Field(any));
        }
        let condition = Condition::read(words, |c| matches!(c, ',' | ']' | '&' | '|'))?;
        match any.last_mut() {
            Some(all) => all.push(condition),
            None => any.push(vec![condition]),
        }
        if words.eat("||") {
            any.push(Vec::new());
        } else if !words.eat("&&") {
            return Ok(Field(any));
        }
    }
}

impl Fields {
    pub(super) fn match_message(&self, message: &str) -> bool {
        let found = split(message);
        let behind = self.behind.as_deref().unwrap_or_default();
        let wanted = self.before.len() + behind.len();
        let fits =
            if self.behind.is_some() { found.len() >= wanted } else { found.len() == wanted };
        fits && pairs_hold(&self.before, &found) && {
            let from = found.len() - behind.len();
            pairs_hold(behind, &found[from..])
        }
    }
}

fn pairs_hold(fields: &[Field], found: &[&str]) -> bool {
    fields.iter().zip(found).all(|(field, text)| field.holds(text))
}

impl Field {
    fn holds(&self, text: &str) -> bool {
        let number = text.parse().ok();
        let all = |conditions: &Vec<Condition>| {
            conditions.iter().all(|condition| condition.holds_for(text, number))
        };
        self.0.is_empty() || self.0.iter().any(all)
    }
}

/// AWS: what stands in square brackets or double quotes is one field.
fn split(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim_start();
    while let Some(first) = rest.chars().next() {
        let closed = match first {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        let enclosed = closed.and_then(|end| rest[1..].split_once(end));
        let (field, behind) =
            enclosed.unwrap_or_else(|| rest.split_once(char::is_whitespace).unwrap_or((rest, "")));
        fields.push(field);
        rest = behind.trim_start();
    }
    fields
}
