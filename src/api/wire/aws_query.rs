//! The AWS query protocol: parameters in a query string or form, XML back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use percent_encoding::percent_decode_str;
use quick_xml::escape::escape;
use serde_json::{Map, Value};

use super::Response;

/// Flat parameters, with the lists that hide in their names: `AttributeName.1`, `Tag.2.Key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a query string and a form; the form wins.
    pub fn parse(query: &str, form: &str) -> Params {
        let pairs = query.split('&').chain(form.split('&')).filter(|pair| !pair.is_empty());
        Params(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The members of a list, in the order of their numbers. A lone `name` is a list of one.
    pub fn list(&self, name: &str) -> Vec<String> {
        let numbered: Vec<String> =
            self.groups(name).into_iter().filter_map(|group| group.0.get("").cloned()).collect();
        match self.get(name) {
            Some(value) if numbered.is_empty() => vec![value.to_owned()],
            Some(_) | None => numbered,
        }
    }

    /// The members of a list of structures: each with its own parameters, names without the number.
    pub fn groups(&self, name: &str) -> Vec<Params> {
        let mut groups: BTreeMap<u32, Params> = BTreeMap::new();
        for (key, value) in &self.0 {
            let Some(rest) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let rest = rest.strip_prefix("member.").unwrap_or(rest);
            let (number, below) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(number) = number.parse() {
                let group = groups.entry(number).or_default();
                group.0.insert(below.to_owned(), value.clone());
            }
        }
        groups.into_values().collect()
    }

    /// The parameters as the JSON they stand for: `A.member.1.B=x` is `{"A": [{"B": "x"}]}`. Every value is a text.
    pub fn tree(&self) -> Map<String, Value> {
        let mut root = Map::new();
        for (key, value) in &self.0 {
            if matches!(key.as_str(), "Action" | "Version") || key.starts_with("X-Amz-") {
                continue;
            }
            let mut below = &mut root;
            let mut parts = key.split('.').filter(|part| !part.is_empty()).peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    below.insert(part.to_owned(), Value::String(value.clone()));
                    break;
                }
                let next = below.entry(part).or_insert_with(|| Value::Object(Map::new()));
                // A name that is both a value and a structure: the structure counts.
                if !next.is_object() {
                    *next = Value::Object(Map::new());
                }
                below = next.as_object_mut().expect("just made sure");
            }
        }
        root.into_iter().map(|(name, value)| (name, lists(value))).collect()
    }

    /// The parameters that are not part of a list, without those that say what is asked of whom.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(|(key, _)| !key.contains('.') && !matches!(&***key, "Action" | "Version"))
            .filter(|(key, _)| !key.starts_with("X-Amz-"))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Structures of the one member `member`, whose members are numbers, are lists.
fn lists(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    match map.remove("member") {
        Some(Value::Object(members)) if map.is_empty() => {
            let mut members: Vec<(u32, Value)> = members
                .into_iter()
                .filter_map(|(number, member)| Some((number.parse().ok()?, lists(member))))
                .collect();
            members.sort_by_key(|(number, _)| *number);
            Value::Array(members.into_iter().map(|(_, member)| member).collect())
        }
        // How an empty list is written: `Dimensions.member=`, or `Dimensions=`.
        Some(_) => Value::Array(Vec::new()),
        None => Value::Object(map.into_iter().map(|(name, value)| (name, lists(value))).collect()),
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// An XML text under construction.
#[derive(Debug, Default)]
pub struct Xml(String);

impl Xml {
    /// `<name>text</name>`, the text escaped.
    pub fn leaf(&mut self, name: &str, text: &str) {
        // A carriage return would not survive the receiver's parser.
        let text = escape(text).replace('\r', "&#13;");
        write!(self.0, "<{name}>{text}</{name}>").expect("writing to a String");
    }

    /// `<name>…</name>` around what `inside` writes.
    pub fn element(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        write!(self.0, "<{name}>").expect("writing to a String");
        inside(self);
        write!(self.0, "</{name}>").expect("writing to a String");
    }
}

/// What every answer of a service has in common.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// For example `http://queue.amazonaws.com/doc/2012-11-05/`.
    pub namespace: &'a str,
    pub request_id: &'a str,
}

/// `<ActionResponse><ActionResult>…`; without the result element where the operation has no output.
pub fn answer(
    envelope: Envelope<'_>,
    action: &str,
    result: Option<impl FnOnce(&mut Xml)>,
) -> Response {
    let mut xml = Xml::default();
    write!(xml.0, "<{action}Response xmlns=\"{}\">", envelope.namespace)
        .expect("writing to a String");
    if let Some(result) = result {
        xml.element(&format!("{action}Result"), result);
    }
    xml.element("ResponseMetadata", |xml| xml.leaf("RequestId", envelope.request_id));
    write!(xml.0, "</{action}Response>").expect("writing to a String");
    respond(StatusCode::OK, &xml)
}

/// `<ErrorResponse>` with code and message.
pub fn failure(envelope: Envelope<'_>, status: StatusCode, code: &str, message: &str) -> Response {
    let mut xml = Xml::default();
    write!(xml.0, "<ErrorResponse xmlns=\"{}\">", envelope.namespace).expect("writing to a String");
    xml.element("Error", |xml| {
        xml.leaf("Type", if status.is_server_error() { "Receiver" } else { "Sender" });
        xml.leaf("Code", code);
        xml.leaf("Message", message);
    });
    xml.leaf("RequestId", envelope.request_id);
    xml.0.push_str("</ErrorResponse>");
    respond(status, &xml)
}

fn respond(status: StatusCode, xml: &Xml) -> Response {
    let mut response = Response::new(Body::from(format!("<?xml version=\"1.0\"?>{}", xml.0)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_are_found_in_flat_names() {
        let params = Params::parse(
            "Action=SendMessage&Version=2012-11-05",
            "AttributeName.2=b&AttributeName.1=a+c&Tag.10.Key=z&Tag.2.Key=y&Tag.2.Value=%26&One=1",
        );
        assert_eq!(params.list("AttributeName"), ["a c", "b"]);
        assert_eq!(params.list("One"), ["1"]);
        let tags = params.groups("Tag");
        assert_eq!(tags[0].get("Key"), Some("y"));
        assert_eq!(tags[0].get("Value"), Some("&"));
        assert_eq!(tags[1].get("Key"), Some("z"));
        assert_eq!(params.scalars().collect::<Vec<_>>(), [("One", "1")]);
    }

    #[test]
    fn flat_names_are_a_tree() {
        let form = "Action=A&M.member.2.N=b&M.member.1.N=a&M.member.1.V.member.1=1&E=x";
        let tree = Value::Object(Params::parse("", form).tree());
        let wanted = serde_json::json!({ "E": "x", "M": [{ "N": "a", "V": ["1"] }, { "N": "b" }] });
        assert_eq!(tree, wanted);
    }
}
