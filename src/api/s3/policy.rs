//! Bucket policies: kept word for word, and enforced as far as one machine can know what they ask about.
//!
//! A condition about something that only AWS knows (a VPC endpoint, an organisation) never lets anybody in, and never
//! keeps the bucket's owner out: a policy written for production must not lock a laptop.

use http::StatusCode;
use s3s::{S3Error, S3Result};
use serde_json::{Map, Value};

use super::error::custom;
use crate::config::Identity;

/// The longest policy (S3 user guide, "Bucket policies").
const POLICY_MAX_BYTES: usize = 20 * 1024;

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Deny,
    Allow,
    /// Nothing.
    Silent,
}

/// What is known of a request under the name of a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is not for us to know.
    Unknown,
    /// The request has no such thing.
    Absent,
    Is(String),
}

/// A request as a policy sees it.
pub(super) struct Request<'r> {
    /// `None` when nobody signed it.
    pub(super) who: Option<&'r Identity>,
    pub(super) action: &'r str,
    /// An ARN.
    pub(super) resource: &'r str,
    /// What the request has under a condition key, in lower case up to the slash.
    pub(super) key: &'r dyn Fn(&str) -> Known,
}

fn malformed(message: &'static str) -> S3Error {
    custom("MalformedPolicy", StatusCode::BAD_REQUEST, message)
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn statements(policy: &Value) -> Vec<&Map<String, Value>> {
    match policy.get("Statement") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// Reads a policy for a bucket.
pub(super) fn read(text: &[u8], bucket: &str) -> S3Result<Value> {
    if text.len() > POLICY_MAX_BYTES {
        return Err(malformed("Policy exceeds the maximum allowed document size."));
    }
    let policy: Value = serde_json::from_slice(text)
        .map_err(|_| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
    let all = statements(&policy);
    if all.is_empty() {
        return Err(malformed("Missing required field Statement"));
    }
    for statement in all {
        let has = |name: &str| statement.contains_key(name);
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return Err(malformed("Invalid effect"));
        }
        if !has("Principal") && !has("NotPrincipal") {
            return Err(malformed("Missing required field Principal"));
        }
        if !has("Action") && !has("NotAction") {
            return Err(malformed("Missing required field Action"));
        }
        let actions = statement.get("Action").or(statement.get("NotAction")).map(texts);
        if actions.is_none_or(|all| all.is_empty() || all.iter().any(|it| !is_action(it))) {
            return Err(malformed("Policy has invalid action"));
        }
        let resources = statement.get("Resource").or(statement.get("NotResource")).map(texts);
        let is_ours = |resource: &&str| {
            let named = resource.strip_prefix("arn:aws:s3:::");
            named.is_some_and(|named| fits(named.split('/').next().unwrap_or_default(), bucket))
        };
        if resources.is_none_or(|all| all.is_empty() || !all.iter().all(is_ours)) {
            return Err(malformed("Policy has invalid resource"));
        }
    }
    Ok(policy)
}

fn is_action(action: &str) -> bool {
    action == "*" || action.to_ascii_lowercase().starts_with("s3:")
}

/// Whether everyone may do something by a policy.
pub(super) fn is_public(policy: &Value) -> bool {
    statements(policy).iter().any(|statement| {
        let allows = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
        allows && is_for_everyone(statement) && !is_narrowed(statement)
    })
}

fn is_for_everyone(statement: &Map<String, Value>) -> bool {
    match statement.get("Principal") {
        Some(Value::String(all)) => all == "*",
        Some(Value::Object(kinds)) => kinds.values().any(|value| texts(value).contains(&"*")),
        _ => statement.contains_key("NotPrincipal"),
    }
}

/// AWS: a statement is not public when it is about certain networks, accounts or sources.
fn is_narrowed(statement: &Map<String, Value>) -> bool {
    const NARROWING: [&str; 12] = [
        "aws:principalorgid",
        "aws:principalarn",
        "aws:principalaccount",
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:dataaccesspointarn",
    ];
    let conditions = statement.get("Condition").and_then(Value::as_object);
    let operators = conditions.into_iter().flat_map(Map::values).filter_map(Value::as_object);
    operators.flat_map(Map::iter).any(|(key, value)| {
        NARROWING.contains(&key.to_ascii_lowercase().as_str())
            && texts(value).iter().all(|text| *text != "*" && *text != "0.0.0.0/0")
    })
}

/// What a policy says of a request: one denial outweighs everything.
pub(super) fn judge(policy: &Value, request: &Request<'_>) -> Verdict {
    let mut verdict = Verdict::Silent;
    for statement in statements(policy) {
        let denies = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
        if !is_about(statement, request) {
            continue;
        }
        // What cannot be known counts against the statement, whatever it says.
        if conditions_hold(statement, request) != Some(true) {
            continue;
        }
        if denies {
            return Verdict::Deny;
        }
        verdict = Verdict::Allow;
    }
    verdict
}

fn is_about(statement: &Map<String, Value>, request: &Request<'_>) -> bool {
    let any = |name: &str, is: &dyn Fn(&str) -> bool| {
        statement.get(name).map(|value| texts(value).into_iter().any(is))
    };
    let action =
        |pattern: &str| fits(&pattern.to_ascii_lowercase(), &request.action.to_ascii_lowercase());
    let resource = |pattern: &str| fits(pattern, request.resource);
    let acts = any("Action", &action).or_else(|| any("NotAction", &action).map(|is| !is));
    let lies = any("Resource", &resource).or_else(|| any("NotResource", &resource).map(|is| !is));
    let meant = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => is_meant(principal, request.who),
        (None, Some(others)) => !is_meant(others, request.who),
        (None, None) => false,
    };
    acts == Some(true) && lies == Some(true) && meant
}

fn is_meant(principal: &Value, who: Option<&Identity>) -> bool {
    if principal.as_str() == Some("*") {
        return true;
    }
    let Some(kinds) = principal.as_object() else { return false };
    kinds.iter().any(|(kind, value)| {
        texts(value).into_iter().any(|named| match kind.as_str() {
            "AWS" if named == "*" => true,
            "AWS" => who.is_some_and(|who| {
                let account = who.arn.split(':').nth(4).unwrap_or_default();
                named == who.arn
                    || named == account
                    || (!account.is_empty() && named == format!("arn:aws:iam::{account}:root"))
            }),
            "CanonicalUser" => who.is_some_and(|who| who.canonical_id == named),
            _ => false,
        })
    })
}

/// `None` when it cannot be known.
fn conditions_hold(statement: &Map<String, Value>, request: &Request<'_>) -> Option<bool> {
    let Some(conditions) = statement.get("Condition").and_then(Value::as_object) else {
        return Some(true);
    };
    for (operator, keys) in conditions {
        for (key, wanted) in keys.as_object()? {
            let wanted: Vec<String> = match wanted {
                Value::Array(all) => all.iter().map(plain).collect(),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => vec![plain(wanted)],
            };
            let (name, rest) = key.split_once('/').unwrap_or((key, ""));
            let mut key = name.to_ascii_lowercase();
            if !rest.is_empty() {
                key = format!("{key}/{rest}");
            }
            if !holds(operator, &(request.key)(&key), &wanted)? {
                return Some(false);
            }
        }
    }
    Some(true)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn holds(operator: &str, known: &Known, wanted: &[String]) -> Option<bool> {
    let operator = operator.rsplit_once(':').map_or(operator, |(_, operator)| operator);
    if operator == "Null" {
        let absent = match known {
            Known::Unknown => return None,
            Known::Absent => "true",
            Known::Is(_) => "false",
        };
        return Some(wanted.iter().any(|wanted| wanted == absent));
    }
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let negative = operator.contains("Not");
    let is = match known {
        Known::Unknown => return None,
        // AWS: what is not there is unlike anything.
        Known::Absent => return Some(if_exists || negative),
        Known::Is(is) => is.as_str(),
    };
    let same: fn(&str, &str) -> bool = match operator {
        "StringEquals" | "StringNotEquals" | "ArnEquals" | "ArnNotEquals" => {
            |wanted, is| wanted == is
        }
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" | "Bool" => {
            str::eq_ignore_ascii_case
        }
        "StringLike" | "StringNotLike" | "ArnLike" | "ArnNotLike" => fits,
        "IpAddress" | "NotIpAddress" => within,
        "NumericEquals" | "NumericNotEquals" => |wanted, is| number(is) == number(wanted),
        "NumericLessThan" => |wanted, is| number(is) < number(wanted),
        "NumericLessThanEquals" => |wanted, is| number(is) <= number(wanted),
        "NumericGreaterThan" => |wanted, is| number(is) > number(wanted),
        "NumericGreaterThanEquals" => |wanted, is| number(is) >= number(wanted),
        _ => return None,
    };
    Some(wanted.iter().any(|wanted| same(wanted, is)) != negative)
}

fn number(text: &str) -> i64 {
    text.trim().parse().unwrap_or(i64::MAX)
}

/// Whether an address lies in a network (`a.b.c.d/n`, or with colons).
fn within(network: &str, address: &str) -> bool {
    use std::net::IpAddr;
    let (base, bits) = network.split_once('/').unwrap_or((network, ""));
    let (Ok(base), Ok(address)) = (base.parse::<IpAddr>(), address.parse::<IpAddr>()) else {
        return false;
    };
    let (base, address, width) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (u128::from(base.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let bits: u32 = bits.parse().unwrap_or(width).min(width);
    bits == 0 || (base ^ address) >> (width - bits) == 0
}

/// Whether a text is what a pattern with `*` and `?` says.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go back to: behind the last star, and the text it has not swallowed yet.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&it) if it == '?' || it == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, swallowed)) => {
                    star = Some((after, swallowed + 1));
                    p = after;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|it| *it == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(policy: &Value, action: &str, prefix: Option<&str>) -> Verdict {
        let key = |key: &str| match (key, prefix) {
            ("s3:prefix", Some(prefix)) => Known::Is(prefix.to_owned()),
            ("s3:prefix", None) => Known::Absent,
            _ => Known::Unknown,
        };
        let resource = "arn:aws:s3:::things";
        judge(policy, &Request { who: None, action, resource, key: &key })
    }

    #[test]
    fn a_denial_outweighs_and_what_is_unknown_counts_for_nothing() {
        let allow = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:List*",
            "Resource": "arn:aws:s3:::things", "Condition": {"StringLike": {"s3:prefix": "open/*"}}});
        let deny = json!({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "*",
            "Resource": "arn:aws:s3:::*", "Condition": {"StringEquals": {"s3:prefix": "open/not"}}});
        let vpc = json!({"Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": "arn:aws:s3:::things", "Condition": {"StringNotEquals": {"aws:SourceVpce": "x"}}});
        let policy = json!({"Statement": [allow, deny, vpc]});
        assert_eq!(verdict(&policy, "s3:ListBucket", Some("open/a")), Verdict::Allow);
        assert_eq!(verdict(&policy, "s3:ListBucket", Some("open/not")), Verdict::Deny);
        assert_eq!(verdict(&policy, "s3:ListBucket", None), Verdict::Silent);
        assert_eq!(verdict(&policy, "s3:GetObject", Some("open/a")), Verdict::Silent);
        assert!(is_public(&policy));
    }

    #[test]
    fn networks_and_patterns() {
        assert!(within("10.0.0.0/8", "10.1.2.3") && !within("10.0.0.0/8", "11.0.0.0"));
        assert!(within("127.0.0.1", "127.0.0.1") && within("0.0.0.0/0", "8.8.8.8"));
        for (pattern, text, wanted) in
            [("a*c", "abc", true), ("a*c", "abcd", false), ("?", "é", true), ("**", "", true)]
        {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
