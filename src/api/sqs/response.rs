//! From results to members, and the digests that SDKs compare.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::request::Wanted;
use crate::id::QueueName;
use crate::queues::{Attribute, AttributeValue, Draft, Message, Sent};

/// MD5s of what a sender sent.
#[derive(Debug)]
pub(super) struct Digests {
    body: String,
    attributes: Option<String>,
    system: Option<String>,
}

pub(super) fn digests(draft: &Draft) -> Digests {
    let trace = draft.trace.iter().map(|trace| {
        let value = AttributeValue::Text(trace.clone());
        ("AWSTraceHeader".to_owned(), Attribute { kind: "String".to_owned(), value })
    });
    Digests {
        body: digest(draft.body.as_bytes()),
        attributes: digest_of_attributes(&draft.attributes),
        system: digest_of_attributes(&trace.collect()),
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// SQS developer guide, "Calculating the MD5 message digest for message attributes". None for no attributes.
fn digest_of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut hash = Md5::new();
    for (name, attribute) in attributes {
        let (transport, value) = match &attribute.value {
            AttributeValue::Text(text) => (1, text.as_bytes()),
            AttributeValue::Binary(bytes) => (2, bytes.as_slice()),
        };
        add(&mut hash, name.as_bytes());
        add(&mut hash, attribute.kind.as_bytes());
        hash.update([transport]);
        add(&mut hash, value);
    }
    Some(hex::encode(hash.finalize()))
}

/// A length in four bytes, big end first, and what has it.
fn add(hash: &mut Md5, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a message is no longer than 1 MiB");
    hash.update(length.to_be_bytes());
    hash.update(bytes);
}

/// The answer to one message that was taken in.
pub(super) fn sent(sent: &Sent, digests: Digests) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), json!(sent.id));
    answer.insert("MD5OfMessageBody".to_owned(), json!(digests.body));
    if let Some(digest) = digests.attributes {
        answer.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
    }
    if let Some(digest) = digests.system {
        answer.insert("MD5OfMessageSystemAttributes".to_owned(), json!(digest));
    }
    if let Some(sequence) = sent.sequence {
        answer.insert("SequenceNumber".to_owned(), json!(sequence_number(sequence)));
    }
    answer
}

/// Twenty digits, as SQS writes it.
fn sequence_number(sequence: i64) -> String {
    format!("{sequence:020}")
}

/// What a receiver gets. No messages: no member.
pub(super) fn received(
    messages: Vec<Message>,
    wanted: &Wanted,
    arn: impl Fn(&QueueName) -> String,
) -> Map<String, Value> {
    let mut answer = Map::new();
    if !messages.is_empty() {
        let messages: Vec<Value> =
            messages.into_iter().map(|message| show(message, wanted, &arn)).collect();
        answer.insert("Messages".to_owned(), Value::Array(messages));
    }
    answer
}

fn show(message: Message, wanted: &Wanted, arn: impl Fn(&QueueName) -> String) -> Value {
    let system: Map<String, Value> = system_attributes(&message, arn)
        .into_iter()
        .filter(|(name, _)| wanted.system.include(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    let attributes: BTreeMap<String, Attribute> = message
        .attributes
        .into_iter()
        .filter(|(name, _)| wanted.attributes.include(name))
        .collect();
    let mut shown = Map::new();
    shown.insert("MessageId".to_owned(), json!(message.id));
    shown.insert("ReceiptHandle".to_owned(), json!(message.receipt.to_string()));
    shown.insert("MD5OfBody".to_owned(), json!(digest(message.body.as_bytes())));
    shown.insert("Body".to_owned(), Value::String(message.body));
    if !system.is_empty() {
        shown.insert("Attributes".to_owned(), Value::Object(system));
    }
    // AWS: the digest is of what is returned, not of what was sent.
    if let Some(digest) = digest_of_attributes(&attributes) {
        shown.insert("MD5OfMessageAttributes".to_owned(), json!(digest));
        let values: Map<String, Value> =
            attributes.into_iter().map(|(name, attribute)| (name, value(attribute))).collect();
        shown.insert("MessageAttributes".to_owned(), Value::Object(values));
    }
    Value::Object(shown)
}

fn value(attribute: Attribute) -> Value {
    match attribute.value {
        AttributeValue::Text(text) => json!({ "StringValue": text, "DataType": attribute.kind }),
        AttributeValue::Binary(bytes) => {
            json!({ "BinaryValue": STANDARD.encode(bytes), "DataType": attribute.kind })
        }
    }
}

fn system_attributes(
    message: &Message,
    arn: impl Fn(&QueueName) -> String,
) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("SenderId", message.sender.clone()),
        ("SentTimestamp", message.sent.as_millis().to_string()),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("ApproximateFirstReceiveTimestamp", message.first_received.as_millis().to_string()),
    ];
    let optional = [
        ("SequenceNumber", message.sequence.map(sequence_number)),
        ("MessageDeduplicationId", message.deduplication.clone()),
        ("MessageGroupId", message.group.clone()),
        ("AWSTraceHeader", message.trace.clone()),
        ("DeadLetterQueueSourceArn", message.dead_letter_source.as_ref().map(arn)),
    ];
    all.extend(optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    all
}

/// The answer to a batch: what succeeded, with its own members, and what did not.
pub(super) fn batch(
    results: impl Iterator<Item = (String, Result<Map<String, Value>, Failure>)>,
    mut failed: Vec<(String, Failure)>,
) -> Map<String, Value> {
    let mut successful = Vec::new();
    for (id, result) in results {
        match result {
            Ok(mut members) => {
                members.insert("Id".to_owned(), Value::String(id));
                successful.push(Value::Object(members));
            }
            Err(failure) => failed.push((id, failure)),
        }
    }
    let failed: Vec<Value> = failed
        .into_iter()
        .map(|(id, failure)| {
            json!({
                "Id": id,
                "SenderFault": !failure.is_ours(),
                "Code": failure.query_code(),
                "Message": failure.message,
            })
        })
        .collect();
    let mut answer = Map::new();
    answer.insert("Successful".to_owned(), Value::Array(successful));
    answer.insert("Failed".to_owned(), Value::Array(failed));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(&str, &str, AttributeValue)]) -> BTreeMap<String, Attribute> {
        all.iter()
            .map(|(name, kind, value)| {
                let attribute = Attribute { kind: (*kind).to_owned(), value: value.clone() };
                ((*name).to_owned(), attribute)
            })
            .collect()
    }

    #[test]
    fn the_digests_of_attributes_are_those_of_aws() {
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let timestamp = attributes(&[("timestamp", "Number", text("1493147359900"))]);
        let both = attributes(&[
            ("a", "String", text("x")),
            ("b", "Binary", AttributeValue::Binary(vec![0, 1])),
        ]);
        for (given, expected) in [
            (timestamp, "235c5c510d26fb653d073faed50ae77c"),
            (both, "fa20e2def088daf7b14bc51e836c5547"),
        ] {
            assert_eq!(digest_of_attributes(&given).as_deref(), Some(expected));
        }
        assert_eq!(digest(b"hello"), "5d41402abc4b2a76b9719d911017c592");
    }
}
