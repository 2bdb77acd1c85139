//! A comparison: an operator and what stands right of it.

use super::words::Words;
use super::{BadPattern, bad};

#[derive(Debug)]
pub(super) struct Condition {
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug)]
enum Value {
    Number(f64, String),
    /// `*` stands for any letters.
    Text(String),
    Regex(regex::Regex),
}

impl Condition {
    /// Reads `= "x"`, `> 5` and the like. A bare value ends at a letter that `ends` it.
    pub(super) fn read(
        words: &mut Words<'_>,
        ends: impl Fn(char) -> bool,
    ) -> Result<Condition, BadPattern> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("!=", Operator::NotEqual),
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            ("=", Operator::Equal),
            (">", Operator::Greater),
            ("<", Operator::Less),
        ];
        let found = OPERATORS.iter().find(|(token, _)| words.eat(token));
        let Some((token, operator)) = found else {
            return Err(bad("a comparison is missing: one of = != > >= < <="));
        };
        let value = match words.peek_past_space() {
            Some('"') => Value::Text(words.quoted()?),
            Some('%') => Value::Regex(words.regex()?),
            _ => {
                let text = words.while_letters(|letter| !letter.is_whitespace() && !ends(letter));
                match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Value::Number(number, text.to_owned()),
                    _ if text.is_empty() => {
                        return Err(bad(format!("nothing stands behind `{token}`")));
                    }
                    _ => Value::Text(text.to_owned()),
                }
            }
        };
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && !matches!(value, Value::Number(..)) {
            return Err(bad(format!("`{token}` compares numbers only")));
        }
        Ok(Condition { operator: *operator, value })
    }

    /// For a value that is a number, and its text.
    pub(super) fn holds_for(&self, text: &str, number: Option<f64>) -> bool {
        let wanted = match &self.value {
            Value::Number(wanted, _) => Some(*wanted),
            Value::Text(_) | Value::Regex(_) => None,
        };
        let order = number.zip(wanted).and_then(|(number, wanted)| number.partial_cmp(&wanted));
        match self.operator {
            Operator::Equal => self.equals(text, number),
            Operator::NotEqual => !self.equals(text, number),
            Operator::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Operator::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
            Operator::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Operator::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        }
    }

    fn equals(&self, text: &str, number: Option<f64>) -> bool {
        match &self.value {
            Value::Number(wanted, digits) => number == Some(*wanted) || text == digits,
            Value::Text(wanted) => is_like(text, wanted),
            Value::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether `text` is `wanted`, in which `*` stands for any letters, also none.
fn is_like(text: &str, wanted: &str) -> bool {
    let Some((first, rest)) = wanted.split_once('*') else { return text == wanted };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (text, wanted, expected) in [
            ("abc", "abc", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "a*b*c", true),
            ("abc", "a*c*b", false),
            ("aba", "a*a", true),
            ("a", "a*a", false),
            ("", "*", true),
            ("abc", "**", true),
        ] {
            assert_eq!(is_like(text, wanted), expected, "{text} {wanted}");
        }
    }
}
