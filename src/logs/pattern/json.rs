//! Patterns over properties of JSON messages.

use serde_json::Value;

use super::condition::Condition;
use super::words::Words;
use super::{BadPattern, bad};

#[derive(Debug)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Test(Vec<Step>, Test),
}

/// A step from a value into it.
#[derive(Debug)]
pub(super) enum Step {
    Member(String),
    Element(usize),
}

#[derive(Debug)]
pub(super) enum Test {
    Compare(Condition),
    IsNull,
    Is(bool),
    Missing,
}

pub(super) fn parse(text: &str) -> Result<Expression, BadPattern> {
    let mut words = Words::new(text);
    words.expect("{")?;
    let expression = any(&mut words)?;
    words.expect("}")?;
    words.end()?;
    Ok(expression)
}

fn any(words: &mut Words<'_>) -> Result<Expression, BadPattern> {
    let mut parts = vec![all(words)?];
    while words.eat("||") {
        parts.push(all(words)?);
    }
    Ok(Expression::Any(parts))
}

fn all(words: &mut Words<'_>) -> Result<Expression, BadPattern> {
    let mut parts = vec![part(words)?];
    while words.eat("&&") {
        parts.push(part(words)?);
    }
    Ok(Expression::All(parts))
}

fn part(words: &mut Words<'_>) -> Result<Expression, BadPattern> {
    if words.eat("(") {
        // Each bracket takes some of the stack of whoever reads them.
        words.deeper()?;
        let inner = any(words)?;
        words.expect(")")?;
        words.shallower();
        return Ok(inner);
    }
    words.expect("$")?;
    let path = path(words)?;
    Ok(Expression::Test(path, test(words)?))
}

/// `.a.b[0]["c"]`, and `.["c"]`.
fn path(words: &mut Words<'_>) -> Result<Vec<Step>, BadPattern> {
    let mut steps = Vec::new();
    loop {
        match words.peek() {
            Some('.') => {
                words.next();
                if words.peek() == Some('[') {
                    continue;
                }
                let name =
                    words.while_letters(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@'));
                if name.is_empty() {
                    return Err(bad("a property has no name"));
                }
                steps.push(Step::Member(name.to_owned()));
            }
            Some('[') => {
                words.next();
                if words.peek() == Some('"') {
                    steps.push(Step::Member(words.quoted()?));
                } else {
                    let index = words.while_letters(|c| c.is_ascii_digit());
                    let index =
                        index.parse().map_err(|_| bad("an index is a number or a quoted name"))?;
                    steps.push(Step::Element(index));
                }
                words.expect("]")?;
            }
            _ => return Ok(steps),
        }
    }
}

fn test(words: &mut Words<'_>) -> Result<Test, BadPattern> {
    for (spelled, test) in [
        (["IS", "NULL"], Test::IsNull),
        (["IS", "TRUE"], Test::Is(true)),
        (["IS", "FALSE"], Test::Is(false)),
        (["NOT", "EXISTS"], Test::Missing),
    ] {
        if words.eat_words(&spelled) {
            return Ok(test);
        }
    }
    Condition::read(words, |c| matches!(c, '}' | ')' | '(' | '&' | '|')).map(Test::Compare)
}

impl Expression {
    pub(super) fn holds(&self, message: &Value) -> bool {
        match self {
            Expression::All(parts) => parts.iter().all(|part| part.holds(message)),
            Expression::Any(parts) => parts.iter().any(|part| part.holds(message)),
            Expression::Test(path, test) => {
                // AWS: a message that is not an object has no properties.
                message.is_object() && test.holds(find(message, path))
            }
        }
    }
}

fn find<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Element(index) => value.get(index),
    })
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        let Some(value) = found else { return matches!(self, Test::Missing) };
        match self {
            Test::Missing => false,
            Test::IsNull => value.is_null(),
            Test::Is(wanted) => value.as_bool() == Some(*wanted),
            Test::Compare(condition) => match value {
                Value::String(text) => condition.holds_for(text, None),
                Value::Number(number) => condition.holds_for(&number.to_string(), number.as_f64()),
                Value::Bool(flag) => condition.holds_for(&flag.to_string(), None),
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            },
        }
    }
}
