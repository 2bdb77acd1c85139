//! Queue attributes: SQS's texts on one side, settings on the other.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Code, Failure};
use crate::id::QueueName;
use crate::queues::{Change, Description, Redrive};

/// Attributes that may be set and mean nothing to a queue of ours: kept and shown.
const NOTES: [&str; 8] = [
    "Policy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "MessageSystemAttributes",
];

const READ_ONLY: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

const SETTINGS: [&str; 8] = [
    "VisibilityTimeout",
    "DelaySeconds",
    "MessageRetentionPeriod",
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
    "FifoQueue",
    "ContentBasedDeduplication",
    "RedrivePolicy",
];

/// Which attributes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    All,
    These(Vec<String>),
}

impl Names {
    /// Names of a queue's attributes, each checked.
    pub(super) fn of_queue(given: Vec<String>) -> Result<Names, Failure> {
        let names = Names::any(given);
        if let Names::These(given) = &names {
            let known = |name: &&str| {
                [&READ_ONLY[..], &SETTINGS, &NOTES].iter().any(|all| all.contains(name))
            };
            if let Some(unknown) = given.iter().find(|name| !known(&name.as_str())) {
                return Err(Failure::new(
                    Code::InvalidAttributeName,
                    format!("Unknown Attribute {unknown}."),
                ));
            }
        }
        Ok(names)
    }

    /// Names of a message's attributes. kombu can send `ALL`.
    pub(super) fn any(given: Vec<String>) -> Names {
        if given.iter().any(|name| name.eq_ignore_ascii_case("All") || name == ".*") {
            Names::All
        } else {
            Names::These(given)
        }
    }

    /// Whether `name` is asked for, by itself or as `prefix.*`.
    pub(super) fn include(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::These(given) => given.iter().any(|given| {
                given == name
                    || given.strip_suffix(".*").is_some_and(|prefix| {
                        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
                    })
            }),
        }
    }
}

/// From the texts of `CreateQueue` and `SetQueueAttributes` to changes.
pub(super) fn changes(given: BTreeMap<String, String>) -> Result<Vec<Change>, Failure> {
    given.into_iter().map(|(name, text)| change(&name, text)).collect()
}

fn change(name: &str, text: String) -> Result<Change, Failure> {
    let bad = || {
        Failure::new(
            Code::InvalidAttributeValue,
            format!("Invalid value for the parameter {name}."),
        )
    };
    let number = |least: u32, most: u32| {
        text.trim().parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(bad)
    };
    let truth = || match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad()),
    };
    // The ranges: SQS API reference, `SetQueueAttributes`.
    Ok(match name {
        "VisibilityTimeout" => Change::VisibilitySeconds(number(0, 43_200)?),
        "DelaySeconds" => Change::DelaySeconds(number(0, 900)?),
        "MessageRetentionPeriod" => Change::RetentionSeconds(number(60, 1_209_600)?),
        "MaximumMessageSize" => Change::MaxBytes(number(1_024, 1_048_576)?),
        "ReceiveMessageWaitTimeSeconds" => Change::WaitSeconds(number(0, 20)?),
        "FifoQueue" => Change::Fifo(truth()?),
        "ContentBasedDeduplication" => Change::DeduplicatesByContent(truth()?),
        "RedrivePolicy" => Change::Redrive(redrive(&text).ok_or_else(bad)?),
        _ if NOTES.contains(&name) => {
            Change::Note(name.to_owned(), (!text.is_empty()).then_some(text))
        }
        _ => {
            return Err(Failure::new(
                Code::InvalidAttributeName,
                format!("Unknown Attribute {name}."),
            ));
        }
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRedrive {
    dead_letter_target_arn: String,
    /// A number, or a text that holds one.
    max_receive_count: Value,
}

/// The inner `None` takes the policy away.
#[expect(
    clippy::option_option,
    reason = "no policy is a value; a policy that cannot be read is none"
)]
fn redrive(text: &str) -> Option<Option<Redrive>> {
    if text.is_empty() {
        return Some(None);
    }
    let raw: RawRedrive = serde_json::from_str(text).ok()?;
    let max_receives = match &raw.max_receive_count {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let max_receives = max_receives.filter(|count| (1..=1_000).contains(count))?;
    let name = raw.dead_letter_target_arn.strip_prefix("arn:")?.rsplit(':').next()?;
    Some(Some(Redrive { target: QueueName::parse(name).ok()?, max_receives }))
}

/// Every attribute of a queue that has a value, as SQS shows it.
pub(super) fn show<'d>(
    queue: &QueueName,
    description: &'d Description,
    arn: impl Fn(&QueueName) -> String,
) -> Vec<(&'d str, String)> {
    let Description { settings, created, modified, depth } = description;
    let seconds = |millis: i64| (millis / 1000).to_string();
    let mut all = vec![
        ("QueueArn", arn(queue)),
        ("ApproximateNumberOfMessages", depth.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
        ("CreatedTimestamp", seconds(created.as_millis())),
        ("LastModifiedTimestamp", seconds(modified.as_millis())),
        ("VisibilityTimeout", settings.visibility_seconds.to_string()),
        ("MaximumMessageSize", settings.max_bytes.to_string()),
        ("MessageRetentionPeriod", settings.retention_seconds.to_string()),
        ("DelaySeconds", settings.delay_seconds.to_string()),
        ("ReceiveMessageWaitTimeSeconds", settings.wait_seconds.to_string()),
    ];
    if !settings.notes.contains_key("SqsManagedSseEnabled") {
        all.push(("SqsManagedSseEnabled", "true".to_owned()));
    }
    if settings.fifo {
        all.push(("FifoQueue", "true".to_owned()));
        all.push(("ContentBasedDeduplication", settings.deduplicates_by_content.to_string()));
    }
    if let Some(redrive) = &settings.redrive {
        let policy = json!({
            "deadLetterTargetArn": arn(&redrive.target),
            "maxReceiveCount": redrive.max_receives,
        });
        all.push(("RedrivePolicy", policy.to_string()));
    }
    all.extend(settings.notes.iter().map(|(name, text)| (name.as_str(), text.clone())));
    all
}
