//! Reading members of a request, whichever protocol they came in: a number may be a text, a moment either.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::failure::Failure;
use crate::clock::Timestamp;

/// A structure of a request, and where it stands in it, for messages.
#[derive(Clone, Debug)]
pub(super) struct Members {
    map: Map<String, Value>,
    place: String,
}

impl Members {
    pub(super) fn new(map: Map<String, Value>) -> Members {
        Members { map, place: String::new() }
    }

    /// `MetricData.member.1.Value`: how messages name a member.
    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    fn wrong(&self, name: &str) -> Failure {
        let given = self.map.get(name).map(|value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        });
        let given = given.unwrap_or_default();
        Failure::value(format!("The value {given} for parameter {} is invalid.", self.place(name)))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Failure> {
        self.text(name)?.ok_or_else(|| Failure::missing(&self.place(name)))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Failure> {
        let number = match self.map.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => number(value),
        };
        number.map(Some).ok_or_else(|| self.wrong(name))
    }

    pub(super) fn whole(&self, name: &str) -> Result<Option<u32>, Failure> {
        let Some(given) = self.number(name)? else { return Ok(None) };
        let fits = given.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&given);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just checked")]
        if fits { Ok(Some(given as u32)) } else { Err(self.wrong(name)) }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        let time = match self.map.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => moment(value),
        };
        time.map(Some).ok_or_else(|| self.wrong(name))
    }

    pub(super) fn required_time(&self, name: &str) -> Result<Timestamp, Failure> {
        self.time(name)?.ok_or_else(|| Failure::missing(&self.place(name)))
    }

    fn items(&self, name: &str) -> Result<&[Value], Failure> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            // How the query protocol writes an empty list.
            Some(Value::String(text)) if text.is_empty() => Ok(&[]),
            Some(_) => Err(self.wrong(name)),
        }
    }

    /// A list that may have `max` members.
    fn bounded(&self, name: &str, max: usize) -> Result<&[Value], Failure> {
        let items = self.items(name)?;
        if items.len() > max {
            return Err(Failure::value(format!(
                "The collection {} must not have a size greater than {max}.",
                self.place(name)
            )));
        }
        Ok(items)
    }

    /// A list of structures.
    pub(super) fn list(&self, name: &str, max: usize) -> Result<Vec<Members>, Failure> {
        let items = self.bounded(name, max)?.iter().zip(1..);
        items
            .map(|(item, number)| match item.as_object() {
                Some(map) => {
                    let place = format!("{}.member.{number}.", self.place(name));
                    Ok(Members { map: map.clone(), place })
                }
                None => Err(self.wrong(name)),
            })
            .collect()
    }

    /// A structure within this one.
    pub(super) fn inner(&self, name: &str) -> Result<Option<Members>, Failure> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => {
                Ok(Some(Members { map: map.clone(), place: format!("{}.", self.place(name)) }))
            }
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn texts(&self, name: &str, max: usize) -> Result<Vec<String>, Failure> {
        let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(name));
        self.bounded(name, max)?.iter().map(text).collect()
    }

    pub(super) fn numbers(&self, name: &str, max: usize) -> Result<Vec<f64>, Failure> {
        let of = |item: &Value| number(item).ok_or_else(|| self.wrong(name));
        self.bounded(name, max)?.iter().map(of).collect()
    }
}

/// CloudWatch takes no number beyond 2 to the power of 360, and nothing that is none.
fn number(value: &Value) -> Option<f64> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok()?,
        None => value.as_f64()?,
    };
    (number.is_finite() && number.abs() <= 2f64.powi(360)).then_some(number)
}

fn moment(value: &Value) -> Option<Timestamp> {
    if let Value::String(text) = value
        && text.contains('T')
    {
        let zoned = OffsetDateTime::parse(text, &Rfc3339);
        let at = zoned.or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339)).ok()?;
        let millis = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
        return Some(Timestamp::from_millis(millis));
    }
    let seconds = number(value).filter(|seconds| (0.0..1e12).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "within 30,000 years of the epoch")]
    let millis = (seconds * 1000.0).round() as i64;
    Some(Timestamp::from_millis(millis))
}
