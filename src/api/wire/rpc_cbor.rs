//! Smithy's RPC v2 over CBOR: the operation in the path, CBOR (RFC 8949) both ways.
//!
//! Inside it is JSON like everywhere else: one meaning, one more spelling.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Number, Value};

use super::{Response, aws_json};

const PROTOCOL: &str = "rpc-v2-cbor";
/// Deeper than any request; a reader of nonsense must end.
const DEPTH_MAX: usize = 32;

/// Service and operation of `/service/SERVICE/operation/OPERATION`, for a request of this protocol.
pub fn target<'u>(headers: &HeaderMap, uri: &'u Uri) -> Option<(&'u str, &'u str)> {
    headers.get("smithy-protocol").filter(|protocol| *protocol == PROTOCOL)?;
    let (_, rest) = uri.path().split_once("/service/")?;
    rest.split_once("/operation/")
}

/// An answer of status 200. `is_time` says of which members the numbers are moments.
pub fn answer(body: &Value, is_time: fn(&str) -> bool) -> Response {
    respond(StatusCode::OK, body, is_time)
}

/// An answer that tells of a failure.
pub fn failure(failure: &aws_json::Failure<'_>) -> Response {
    let kind = format!("{}#{}", failure.namespace, failure.shape);
    let body = serde_json::json!({ "__type": kind, "message": failure.message });
    let mut response = respond(failure.status, &body, |_| false);
    if let Some(code) = failure.query_code {
        let fault = if failure.status.is_server_error() { "Receiver" } else { "Sender" };
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{fault}")) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}

fn respond(status: StatusCode, body: &Value, is_time: fn(&str) -> bool) -> Response {
    let mut bytes = Vec::new();
    write(&mut bytes, "", body, is_time);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    headers.insert("smithy-protocol", HeaderValue::from_static(PROTOCOL));
    response
}

/// The members of a request; none for an empty body. `None` where it is not CBOR.
pub fn members(body: &[u8]) -> Option<Map<String, Value>> {
    if body.is_empty() {
        return Some(Map::new());
    }
    let mut reader = Reader { rest: body };
    let Item::Value(Value::Object(map)) = reader.item(0)? else { return None };
    reader.rest.is_empty().then_some(map)
}

enum Item {
    Value(Value),
    /// The end of a list or map of unknown length.
    Break,
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// What the low five bits say.
    fn argument(&mut self, low: u8) -> Option<u64> {
        match low {
            0..=23 => Some(u64::from(low)),
            24 => self.number(1),
            25 => self.number(2),
            26 => self.number(4),
            27 => self.number(8),
            _ => None,
        }
    }

    fn item(&mut self, depth: usize) -> Option<Item> {
        if depth > DEPTH_MAX {
            return None;
        }
        let head = self.number(1)?;
        let (major, low) = (head >> 5, u8::try_from(head & 31).ok()?);
        if major == 7 {
            return self.simple(low);
        }
        // Lengths may be unknown; numbers and tags may not.
        let argument =
            if low == 31 && (2..=5).contains(&major) { None } else { Some(self.argument(low)?) };
        let value = match major {
            0 => Value::from(argument?),
            1 => Value::from(-1 - i64::try_from(argument?).ok()?),
            2 => Value::String(STANDARD.encode(self.text(argument, 2)?)),
            3 => Value::String(String::from_utf8(self.text(argument, 3)?).ok()?),
            4 => Value::Array(self.list(argument, depth)?),
            5 => Value::Object(self.map(argument, depth)?),
            // A tag says that a number is a moment, which its member says already.
            _ => return self.item(depth + 1),
        };
        Some(Item::Value(value))
    }

    fn text(&mut self, length: Option<u64>, major: u64) -> Option<Vec<u8>> {
        if let Some(length) = length {
            return Some(self.take(usize::try_from(length).ok()?)?.to_vec());
        }
        let mut whole = Vec::new();
        loop {
            let head = self.number(1)?;
            if head == 0xff {
                return Some(whole);
            }
            let length = self.argument(u8::try_from(head & 31).ok()?)?;
            if head >> 5 != major {
                return None;
            }
            whole.extend(self.take(usize::try_from(length).ok()?)?);
        }
    }

    fn list(&mut self, length: Option<u64>, depth: usize) -> Option<Vec<Value>> {
        let mut list = Vec::new();
        while length.is_none_or(|length| (list.len() as u64) < length) {
            match self.item(depth + 1)? {
                Item::Value(value) => list.push(value),
                Item::Break => return length.is_none().then_some(list),
            }
        }
        Some(list)
    }

    fn map(&mut self, length: Option<u64>, depth: usize) -> Option<Map<String, Value>> {
        let (mut map, mut read) = (Map::new(), 0);
        while length.is_none_or(|length| read < length) {
            let key = match self.item(depth + 1)? {
                Item::Value(Value::String(key)) => key,
                Item::Value(_) => return None,
                Item::Break => return length.is_none().then_some(map),
            };
            let Item::Value(value) = self.item(depth + 1)? else { return None };
            map.insert(key, value);
            read += 1;
        }
        Some(map)
    }

    fn simple(&mut self, low: u8) -> Option<Item> {
        let float = |number: f64| match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            // JSON has no such number; who reads it will refuse the word.
            None => Value::String(number.to_string()),
        };
        Some(Item::Value(match low {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 | 23 => Value::Null,
            25 => float(half(u16::try_from(self.number(2)?).ok()?)),
            26 => float(f64::from(f32::from_bits(u32::try_from(self.number(4)?).ok()?))),
            27 => float(f64::from_bits(self.number(8)?)),
            31 => return Some(Item::Break),
            _ => return None,
        }))
    }
}

/// A number of 16 bits: one of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    let first = major << 5;
    if let Some(small) = u8::try_from(argument).ok().filter(|small| *small < 24) {
        bytes.push(first | small);
    } else {
        bytes.push(first | 0x1b);
        bytes.extend(argument.to_be_bytes());
    }
}

fn write(bytes: &mut Vec<u8>, name: &str, value: &Value, is_time: fn(&str) -> bool) {
    match value {
        Value::Null => bytes.push(0xf6),
        Value::Bool(value) => bytes.push(if *value { 0xf5 } else { 0xf4 }),
        Value::String(text) => {
            head(bytes, 3, text.len() as u64);
            bytes.extend(text.as_bytes());
        }
        Value::Number(number) => {
            if is_time(name) {
                head(bytes, 6, 1);
            }
            bytes.push(0xfb);
            bytes.extend(number.as_f64().unwrap_or_default().to_be_bytes());
        }
        Value::Array(items) => {
            head(bytes, 4, items.len() as u64);
            for item in items {
                write(bytes, name, item, is_time);
            }
        }
        Value::Object(map) => {
            head(bytes, 5, map.len() as u64);
            for (name, value) in map {
                head(bytes, 3, name.len() as u64);
                bytes.extend(name.as_bytes());
                write(bytes, name, value, is_time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_the_specification_is_read() {
        // {_ "a": [1, -2, 1.5 (half), true], "t": 1(1000)}
        let bytes = b"\xbf\x61a\x84\x01\x21\xf9\x3e\x00\xf5\x61t\xc1\x19\x03\xe8\xff";
        let wanted = json!({ "a": [1, -2, 1.5, true], "t": 1000 });
        assert_eq!(members(bytes).map(Value::Object), Some(wanted));
        assert_eq!(members(b""), Some(Map::new()));
        assert_eq!(members(b"\x81\x01"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            members(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            names in proptest::collection::vec("[a-zA-Z]{0,30}", 0..30), number in -1e9f64..1e9,
        ) {
            let list: Vec<Value> = names.iter().map(|name| json!(name)).collect();
            let value = json!({ "List": list, "Timestamp": number, "Yes": true, "Nothing": null });
            let mut bytes = Vec::new();
            write(&mut bytes, "", &value, |name| name == "Timestamp");
            prop_assert_eq!(members(&bytes).map(Value::Object), Some(value));
        }
    }
}
