//! The query protocol's spelling of the same requests and answers.

use serde_json::{Map, Value, json};

use crate::api::wire::Response;
use crate::api::wire::aws_query::{self, Envelope, Params, Xml};

/// Lists, by the singular that numbers their members and the member that JSON has.
const LISTS: [(&str, &str); 4] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("TagKey", "TagKeys"),
];

const BATCHES: [&str; 3] = [
    "SendMessageBatchRequestEntry",
    "DeleteMessageBatchRequestEntry",
    "ChangeMessageVisibilityBatchRequestEntry",
];

/// The members that JSON would have for these parameters.
pub(super) fn members(params: &Params) -> Map<String, Value> {
    let mut members = message_members(params);
    for (singular, plural) in LISTS {
        let list = params.list(singular);
        if !list.is_empty() {
            members.insert(plural.to_owned(), json!(list));
        }
    }
    let pairs = |list: &str, key: &str| -> Map<String, Value> {
        params
            .groups(list)
            .iter()
            .filter_map(|group| {
                let value = group.get("Value").unwrap_or_default();
                Some((group.get(key)?.to_owned(), Value::String(value.to_owned())))
            })
            .collect()
    };
    for (name, map) in [("Attributes", pairs("Attribute", "Name")), ("Tags", pairs("Tag", "Key"))] {
        if !map.is_empty() {
            members.insert(name.to_owned(), Value::Object(map));
        }
    }
    let entries: Vec<Value> = BATCHES
        .iter()
        .flat_map(|batch| params.groups(batch))
        .map(|entry| Value::Object(message_members(&entry)))
        .collect();
    if !entries.is_empty() {
        members.insert("Entries".to_owned(), Value::Array(entries));
    }
    members
}

/// Scalars, and the two maps that a message has.
fn message_members(params: &Params) -> Map<String, Value> {
    let mut members: Map<String, Value> =
        params.scalars().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    for (singular, plural) in [
        ("MessageAttribute", "MessageAttributes"),
        ("MessageSystemAttribute", "MessageSystemAttributes"),
    ] {
        let map: Map<String, Value> = params
            .groups(singular)
            .iter()
            .filter_map(|group| Some((group.get("Name")?.to_owned(), message_attribute(group))))
            .collect();
        if !map.is_empty() {
            members.insert(plural.to_owned(), Value::Object(map));
        }
    }
    members
}

fn message_attribute(group: &Params) -> Value {
    let members: Map<String, Value> = ["DataType", "StringValue", "BinaryValue"]
        .into_iter()
        .filter_map(|name| {
            let value = group.get(&format!("Value.{name}"))?;
            Some((name.to_owned(), Value::String(value.to_owned())))
        })
        .collect();
    Value::Object(members)
}

/// Operations that answer nothing: their response has no result element.
const SILENT: [&str; 8] = [
    "SetQueueAttributes",
    "DeleteQueue",
    "PurgeQueue",
    "TagQueue",
    "UntagQueue",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "AddPermission",
];

/// Writes an answer as XML.
pub(super) fn answer(envelope: Envelope<'_>, action: &str, value: &Map<String, Value>) -> Response {
    let result = |xml: &mut Xml| {
        for (name, value) in value {
            member(xml, action, name, value);
        }
    };
    aws_query::answer(envelope, action, (!SILENT.contains(&action)).then_some(result))
}

/// Lists are flattened: their members stand in the parent, under the singular.
fn member(xml: &mut Xml, action: &str, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => xml.leaf(name, &value.to_string()),
        Value::String(text) => xml.leaf(name, text),
        Value::Array(items) => {
            let singular = match name {
                "Successful" => format!("{action}ResultEntry"),
                "Failed" => "BatchResultErrorEntry".to_owned(),
                "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
                other => other.trim_end_matches('s').to_owned(),
            };
            for item in items {
                member(xml, action, &singular, item);
            }
        }
        Value::Object(map) => match pair_names(name) {
            Some((singular, key)) => {
                for (name, value) in map {
                    xml.element(singular, |xml| {
                        xml.leaf(key, name);
                        member(xml, action, "Value", value);
                    });
                }
            }
            None => xml.element(name, |xml| {
                for (name, value) in map {
                    member(xml, action, name, value);
                }
            }),
        },
    }
}

/// Maps are lists of pairs: the pair's element, and what its key is called.
fn pair_names(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "Attributes" => Some(("Attribute", "Name")),
        "MessageAttributes" => Some(("MessageAttribute", "Name")),
        "Tags" => Some(("Tag", "Key")),
        _ => None,
    }
}
