//! The policy inside a form: what it asks of the other fields, and until when.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use s3s::dto::{Timestamp as WireTimestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};
use serde_json::Value;

use super::reader::Fields;
use crate::api::s3::error::custom;
use crate::clock::Timestamp;
use crate::limits::OBJECT_PUT_MAX_BYTES;

/// What a form's policy asks of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    /// In bytes, both included.
    Length(u64, u64),
}

#[derive(Clone, Debug)]
pub(super) struct Policy {
    expires: Timestamp,
    conditions: Vec<Condition>,
}

fn bad_policy(message: &'static str) -> S3Error {
    custom("InvalidPolicyDocument", StatusCode::BAD_REQUEST, message)
}

fn against_policy(message: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: {}", message)
}

impl Policy {
    pub(super) fn read(text: &str) -> S3Result<Policy> {
        let invalid = || bad_policy("Invalid Policy: Invalid JSON.");
        let bytes = STANDARD.decode(text.trim()).map_err(|_| invalid())?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let expires = document.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| bad_policy("Invalid Policy: Missing expiration."))?;
        let expires: time::OffsetDateTime =
            WireTimestamp::parse(TimestampFormat::DateTime, expires)
                .map_err(|_| bad_policy("Invalid Policy: Invalid 'expiration' value"))?
                .into();
        let conditions = document.get("conditions").and_then(Value::as_array);
        let conditions = conditions
            .filter(|all| !all.is_empty())
            .ok_or_else(|| bad_policy("Invalid Policy: Missing conditions."))?;
        let mut all = Vec::new();
        for condition in conditions {
            read_condition(condition, &mut all)?;
        }
        let expires = Timestamp::from_millis(expires.unix_timestamp() * 1000);
        Ok(Policy { expires, conditions: all })
    }

    /// Whether a form is what the policy allows. Answers the sizes that the file may have.
    pub(super) fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: Timestamp,
    ) -> S3Result<(u64, u64)> {
        if self.expires < now {
            return Err(against_policy("Policy expired."));
        }
        let value = |name: &str| if name == "bucket" { Some(bucket) } else { fields.get(name) };
        let mut range = (0, OBJECT_PUT_MAX_BYTES);
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Equals(name, wanted) => value(name) == Some(wanted.as_str()),
                Condition::StartsWith(name, wanted) => {
                    value(name).unwrap_or_default().starts_with(wanted.as_str())
                }
                Condition::Length(least, most) => {
                    range = (range.0.max(*least), range.1.min(*most));
                    true
                }
            };
            if !holds {
                return Err(against_policy(&format!("Policy Condition failed: {condition:?}")));
            }
        }
        let unsigned =
            ["x-amz-signature", "signature", "awsaccesskeyid", "policy", "file", ":file-type"];
        let named = |field: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Equals(name, _) | Condition::StartsWith(name, _) => name == field,
                Condition::Length(..) => false,
            })
        };
        for (name, _) in &fields.all {
            let free = unsigned.contains(&name.as_str()) || name.starts_with("x-ignore-");
            if !free && !named(name) {
                return Err(against_policy(&format!("Extra input fields: {name}")));
            }
        }
        Ok(range)
    }
}

fn read_condition(condition: &Value, into: &mut Vec<Condition>) -> S3Result<()> {
    let invalid = || bad_policy("Invalid Policy: Invalid condition.");
    match condition {
        Value::Object(pairs) => {
            if pairs.is_empty() {
                return Err(invalid());
            }
            for (name, value) in pairs {
                let value = value.as_str().ok_or_else(invalid)?;
                into.push(Condition::Equals(name.to_ascii_lowercase(), value.to_owned()));
            }
            Ok(())
        }
        Value::Array(three) => {
            let [kind, first, second] = three.as_slice() else { return Err(invalid()) };
            let field = || {
                let name = first.as_str().map(|name| name.trim_start_matches('\\'));
                let name = name.and_then(|name| name.strip_prefix('$'));
                name.map(str::to_ascii_lowercase).ok_or_else(invalid)
            };
            // AWS: a dollar sign in a value is written with a backslash before it.
            let text = || second.as_str().map(|text| text.replace("\\$", "$")).ok_or_else(invalid);
            let size = |value: &Value| {
                let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                number.ok_or_else(invalid)
            };
            into.push(match kind.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("eq") => Condition::Equals(field()?, text()?),
                Some("starts-with") => Condition::StartsWith(field()?, text()?),
                Some("content-length-range") => Condition::Length(size(first)?, size(second)?),
                _ => return Err(invalid()),
            });
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_policy_or_an_error(
            text in any::<String>(),
            conditions in prop::collection::vec(
                "(\\{\"[a-z$]{0,5}\":\"?[a-z]{0,5}\"?\\}|\\[\"(eq|starts-with|content-length-range)\",(\"[$a-z]{0,5}\"|-?[0-9]{1,20}),(\"[$a-z]{0,5}\"|[0-9]{1,20})\\])",
                0..4,
            ),
        ) {
            // Only that it ends, without a panic.
            drop(Policy::read(&text));
            let document = format!(
                r#"{{"expiration": "2026-01-01T00:00:00.000Z", "conditions": [{}]}}"#,
                conditions.join(",")
            );
            if let Ok(policy) = Policy::read(&STANDARD.encode(document)) {
                drop(policy.check(&Fields::default(), "things", Timestamp::from_millis(0)));
            }
        }
    }
}
