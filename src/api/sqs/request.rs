//! From members to a checked operation. Past this, nobody says "invalid".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::attributes::{self, Names};
use super::failure::{Code, Failure};
use crate::id::{QueueName, ReceiverName};
use crate::limits::{BATCH_MAX_BYTES, BATCH_MAX_ENTRIES};
use crate::queues::{self, Attribute, AttributeValue, Change, Draft};

/// What is asked, checked.
#[derive(Debug)]
pub(super) enum Operation {
    CreateQueue { queue: QueueName, changes: Vec<Change>, tags: BTreeMap<String, String> },
    GetQueueUrl { queue: QueueName },
    ListQueues(Listing),
    GetQueueAttributes { queue: QueueName, names: Names },
    SetQueueAttributes { queue: QueueName, changes: Vec<Change> },
    DeleteQueue { queue: QueueName },
    PurgeQueue { queue: QueueName },
    ListDeadLetterSourceQueues { queue: QueueName },
    TagQueue { queue: QueueName, tags: BTreeMap<String, String> },
    UntagQueue { queue: QueueName, keys: Vec<String> },
    ListQueueTags { queue: QueueName },
    Messages(OnMessages),
}

/// Which queues to list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) prefix: String,
    /// As many as the caller wants on a page, if they want pages.
    pub(super) max: Option<u32>,
    pub(super) after: Option<QueueName>,
}

/// What is asked of a queue's messages.
#[derive(Debug)]
pub(super) enum OnMessages {
    Send {
        queue: QueueName,
        draft: Draft,
    },
    SendBatch {
        queue: QueueName,
        entries: Entries<Draft>,
    },
    Receive {
        queue: QueueName,
        /// Who asks, where the queue's URL says so.
        receiver: Option<ReceiverName>,
        max: u32,
        wait: Option<Duration>,
        visibility_seconds: Option<u32>,
        wanted: Wanted,
    },
    Delete {
        queue: QueueName,
        receipt: String,
    },
    DeleteBatch {
        queue: QueueName,
        entries: Entries<String>,
    },
    ChangeVisibility {
        queue: QueueName,
        receipt: String,
        seconds: u32,
    },
    ChangeVisibilityBatch {
        queue: QueueName,
        entries: Entries<(String, u32)>,
    },
}

/// Which attributes a receiver wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What SQS says of a message.
    pub(super) system: Names,
    /// What the sender says.
    pub(super) attributes: Names,
}

/// The entries of a batch: those that can be tried, under their ids in the same order, and those that cannot.
#[derive(Debug)]
pub(super) struct Entries<T> {
    pub(super) ids: Vec<String>,
    pub(super) good: Vec<T>,
    pub(super) failed: Vec<(String, Failure)>,
}

/// Every member that any operation has. Unknown ones are ignored: kombu 5.4 sends a stray `AttributeName.1`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Raw {
    queue_url: Option<String>,
    queue_name: Option<String>,
    queue_name_prefix: Option<String>,
    max_results: Option<Number>,
    next_token: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    attribute_names: Option<Vec<String>>,
    message_system_attribute_names: Option<Vec<String>>,
    message_attribute_names: Option<Vec<String>>,
    /// AWS: `CreateQueue` spells it in lower case, `TagQueue` does not.
    #[serde(rename = "tags")]
    create_tags: Option<BTreeMap<String, String>>,
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
    max_number_of_messages: Option<Number>,
    wait_time_seconds: Option<Number>,
    entries: Option<Vec<RawEntry>>,
    #[serde(flatten)]
    own: RawEntry,
}

/// Members that an entry of a batch shares with the operation on one message.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEntry {
    id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<Number>,
    message_attributes: Option<BTreeMap<String, RawAttribute>>,
    message_system_attributes: Option<BTreeMap<String, RawAttribute>>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAttribute {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// A number, or a text that holds one: the query protocol has nothing but texts.
#[derive(Clone, Copy, Debug)]
struct Number(i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Number, D::Error> {
        let given = Value::deserialize(from)?;
        let number = match &given {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let bad = || serde::de::Error::custom(format_args!("{given} is not a whole number"));
        number.map(Number).ok_or_else(bad)
    }
}

/// The members of a JSON body. No body is no members.
pub(super) fn members(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The request body is not a JSON object: {error}");
        Failure::new(Code::InvalidParameterValue, message)
    })
}

impl Operation {
    /// Checks the members of a request. `path` names the queue where no `QueueUrl` does.
    pub(super) fn read(
        action: &str,
        members: Map<String, Value>,
        path: &str,
    ) -> Result<Operation, Failure> {
        let raw: Raw = serde_json::from_value(Value::Object(members)).map_err(|error| {
            Failure::new(Code::InvalidParameterValue, format!("The request is malformed: {error}"))
        })?;
        match action {
            "CreateQueue" => raw.create_queue(),
            "GetQueueUrl" => Ok(Operation::GetQueueUrl { queue: raw.named_queue()? }),
            "ListQueues" => raw.list_queues(),
            "GetQueueAttributes" => {
                let queue = raw.queue(path)?;
                let names = Names::of_queue(raw.attribute_names.unwrap_or_default())?;
                Ok(Operation::GetQueueAttributes { queue, names })
            }
            "SetQueueAttributes" => {
                let queue = raw.queue(path)?;
                let given = raw.attributes.ok_or_else(|| missing("Attributes"))?;
                if given.contains_key("FifoQueue") {
                    let message = "FifoQueue can be set when a queue is created, and not later.";
                    return Err(Failure::new(Code::InvalidAttributeName, message));
                }
                Ok(Operation::SetQueueAttributes { queue, changes: attributes::changes(given)? })
            }
            "DeleteQueue" => Ok(Operation::DeleteQueue { queue: raw.queue(path)? }),
            "PurgeQueue" => Ok(Operation::PurgeQueue { queue: raw.queue(path)? }),
            "ListDeadLetterSourceQueues" => {
                Ok(Operation::ListDeadLetterSourceQueues { queue: raw.queue(path)? })
            }
            "TagQueue" => {
                let queue = raw.queue(path)?;
                Ok(Operation::TagQueue { queue, tags: raw.tags.ok_or_else(|| missing("Tags"))? })
            }
            "UntagQueue" => {
                let queue = raw.queue(path)?;
                let keys = raw.tag_keys.ok_or_else(|| missing("TagKeys"))?;
                Ok(Operation::UntagQueue { queue, keys })
            }
            "ListQueueTags" => Ok(Operation::ListQueueTags { queue: raw.queue(path)? }),
            _ => raw.on_messages(action, path).map(Operation::Messages),
        }
    }
}

/// What stands between a queue's URL and the name of a receiver, in the URLs that Celery's workers are given.
const RECEIVER: &str = "?receiver=";

impl Raw {
    fn queue(&self, path: &str) -> Result<QueueName, Failure> {
        let place = match &self.queue_url {
            Some(url) => {
                url.split_once(RECEIVER).map_or(url.as_str(), |(queue, _)| queue).to_owned()
            }
            None => percent_decode_str(path).decode_utf8_lossy().into_owned(),
        };
        // Scheme, host and account say nothing: a container reaches us under another name than the host does.
        let name = place.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Err(missing("QueueUrl"));
        }
        QueueName::parse(name).map_err(|_| {
            Failure::new(Code::QueueDoesNotExist, "The specified queue does not exist.")
        })
    }

    fn receiver(&self) -> Option<ReceiverName> {
        let (_, name) = self.queue_url.as_deref()?.split_once(RECEIVER)?;
        ReceiverName::parse(name).ok()
    }

    fn named_queue(&self) -> Result<QueueName, Failure> {
        let name = self.queue_name.clone().ok_or_else(|| missing("QueueName"))?;
        QueueName::parse(name).map_err(|_| {
            let message =
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
            Failure::new(Code::InvalidParameterValue, message)
        })
    }

    fn create_queue(self) -> Result<Operation, Failure> {
        let queue = self.named_queue()?;
        let tags = self.create_tags.or(self.tags).unwrap_or_default();
        let changes = attributes::changes(self.attributes.unwrap_or_default())?;
        let fifo = changes.contains(&Change::Fifo(true));
        if fifo != queues::is_fifo(&queue) {
            let message = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                           underscores, must end with .fifo suffix and be 1 to 80 in length; and a queue of such a \
                           name must have FifoQueue true.";
            return Err(Failure::new(Code::InvalidParameterValue, message));
        }
        Ok(Operation::CreateQueue { queue, changes, tags })
    }

    fn list_queues(self) -> Result<Operation, Failure> {
        let max = match self.max_results {
            Some(max) => Some(within("MaxResults", (1, 1000), max)?),
            None => None,
        };
        let after = match self.next_token.filter(|token| !token.is_empty()) {
            Some(token) => Some(QueueName::parse(token).map_err(|_| {
                Failure::new(Code::InvalidParameterValue, "Invalid NextToken value.")
            })?),
            None => None,
        };
        let prefix = self.queue_name_prefix.unwrap_or_default();
        Ok(Operation::ListQueues(Listing { prefix, max, after }))
    }

    fn on_messages(self, action: &str, path: &str) -> Result<OnMessages, Failure> {
        let queue = || self.queue(path);
        Ok(match action {
            "SendMessage" => OnMessages::Send { queue: queue()?, draft: self.own.draft()? },
            "SendMessageBatch" => {
                let queue = queue()?;
                let entries = entries(self.entries, RawEntry::draft)?;
                check_total(&entries.good)?;
                OnMessages::SendBatch { queue, entries }
            }
            "ReceiveMessage" => self.receive(path)?,
            "DeleteMessage" => OnMessages::Delete { queue: queue()?, receipt: self.own.receipt()? },
            "DeleteMessageBatch" => OnMessages::DeleteBatch {
                queue: queue()?,
                entries: entries(self.entries, RawEntry::receipt)?,
            },
            "ChangeMessageVisibility" => {
                let queue = queue()?;
                let (receipt, seconds) = self.own.visibility()?;
                OnMessages::ChangeVisibility { queue, receipt, seconds }
            }
            "ChangeMessageVisibilityBatch" => OnMessages::ChangeVisibilityBatch {
                queue: queue()?,
                entries: entries(self.entries, RawEntry::visibility)?,
            },
            other => {
                let message = format!(
                    "The action {other} is not valid for this endpoint, or not yet supported."
                );
                return Err(Failure::new(Code::InvalidAction, message));
            }
        })
    }

    fn receive(self, path: &str) -> Result<OnMessages, Failure> {
        let (queue, receiver) = (self.queue(path)?, self.receiver());
        let optional = |name, range, given: Option<Number>| {
            given.map(|given| within(name, range, given)).transpose()
        };
        let max = optional("MaxNumberOfMessages", (1, 10), self.max_number_of_messages)?;
        let wait = optional("WaitTimeSeconds", (0, 20), self.wait_time_seconds)?;
        let visibility_seconds =
            optional("VisibilityTimeout", (0, 43_200), self.own.visibility_timeout)?;
        let mut system = self.attribute_names.unwrap_or_default();
        system.extend(self.message_system_attribute_names.unwrap_or_default());
        let attributes = Names::any(self.message_attribute_names.unwrap_or_default());
        Ok(OnMessages::Receive {
            queue,
            receiver,
            max: max.unwrap_or(1),
            wait: wait.map(|seconds| Duration::from_secs(seconds.into())),
            visibility_seconds,
            wanted: Wanted { system: Names::any(system), attributes },
        })
    }
}

impl RawEntry {
    fn draft(self) -> Result<Draft, Failure> {
        let body = self.message_body.ok_or_else(|| missing("MessageBody"))?;
        if body.is_empty() {
            return Err(missing("MessageBody"));
        }
        if !body.chars().all(is_allowed) {
            let message = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                           #xE000 to #xFFFD | #x10000 to #x10FFFF";
            return Err(Failure::new(Code::InvalidMessageContents, message));
        }
        let delay_seconds = match self.delay_seconds {
            Some(delay) => Some(within("DelaySeconds", (0, 900), delay)?),
            None => None,
        };
        let mut system = self.message_system_attributes.unwrap_or_default();
        Ok(Draft {
            body,
            attributes: message_attributes(self.message_attributes.unwrap_or_default())?,
            delay_seconds,
            group: self.message_group_id,
            deduplication: self.message_deduplication_id,
            sender: String::new(),
            trace: system.remove("AWSTraceHeader").and_then(|header| header.string_value),
        })
    }

    fn receipt(self) -> Result<String, Failure> {
        self.receipt_handle.ok_or_else(|| missing("ReceiptHandle"))
    }

    fn visibility(self) -> Result<(String, u32), Failure> {
        let seconds = self.visibility_timeout.ok_or_else(|| missing("VisibilityTimeout"))?;
        let seconds = within("VisibilityTimeout", (0, 43_200), seconds)?;
        Ok((self.receipt()?, seconds))
    }
}

/// What XML 1.0 can hold.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn message_attributes(
    raw: BTreeMap<String, RawAttribute>,
) -> Result<BTreeMap<String, Attribute>, Failure> {
    if raw.len() > 10 {
        let message = format!(
            "Number of message attributes [{}] exceeds the allowed maximum [10].",
            raw.len()
        );
        return Err(Failure::new(Code::InvalidParameterValue, message));
    }
    raw.into_iter()
        .map(|(name, raw)| {
            let attribute = message_attribute(&name, raw)?;
            Ok((name, attribute))
        })
        .collect()
}

fn message_attribute(name: &str, raw: RawAttribute) -> Result<Attribute, Failure> {
    let bad = |why: &str| {
        Failure::new(Code::InvalidParameterValue, format!("The message attribute '{name}' {why}."))
    };
    let kind = raw.data_type.ok_or_else(|| bad("must contain a non-empty attribute type"))?;
    let value = match kind.split('.').next() {
        Some("String" | "Number") => raw.string_value.map(AttributeValue::Text),
        Some("Binary") => match raw.binary_value.map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) => Some(AttributeValue::Binary(bytes)),
            Some(Err(_)) => return Err(bad("has a BinaryValue that is not base64")),
            None => None,
        },
        Some(_) | None => {
            return Err(bad(
                "has an invalid message attribute type, the set of supported type prefixes is Binary, \
                            Number, and String",
            ));
        }
    };
    let value = value.ok_or_else(|| bad("must contain a non-empty message attribute value"))?;
    Ok(Attribute { kind, value })
}

fn entries<T>(
    raw: Option<Vec<RawEntry>>,
    read: impl Fn(RawEntry) -> Result<T, Failure>,
) -> Result<Entries<T>, Failure> {
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        let message = "There should be at least one entry in the request.";
        return Err(Failure::new(Code::EmptyBatchRequest, message));
    }
    if raw.len() > BATCH_MAX_ENTRIES {
        return Err(Failure::new(
            Code::TooManyEntriesInBatchRequest,
            format!(
                "Maximum number of entries per request are {BATCH_MAX_ENTRIES}. You have sent {}.",
                raw.len()
            ),
        ));
    }
    let mut seen = BTreeSet::new();
    let mut entries = Entries { ids: Vec::new(), good: Vec::new(), failed: Vec::new() };
    for mut entry in raw {
        let id = entry.id.take().ok_or_else(|| missing("Id"))?;
        let fits = (1..=80).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !fits {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can \
                           be at most 80 letters long.";
            return Err(Failure::new(Code::InvalidBatchEntryId, message));
        }
        if !seen.insert(id.clone()) {
            return Err(Failure::new(Code::BatchEntryIdsNotDistinct, format!("Id {id} repeated.")));
        }
        match read(entry) {
            Ok(good) => {
                entries.ids.push(id);
                entries.good.push(good);
            }
            Err(failure) => entries.failed.push((id, failure)),
        }
    }
    Ok(entries)
}

fn check_total(drafts: &[Draft]) -> Result<(), Failure> {
    let total: usize = drafts.iter().map(Draft::size_bytes).sum();
    if total <= BATCH_MAX_BYTES {
        return Ok(());
    }
    Err(Failure::new(
        Code::BatchRequestTooLong,
        format!(
            "Batch requests cannot be longer than {BATCH_MAX_BYTES} bytes. You have sent {total} bytes."
        ),
    ))
}

fn missing(name: &str) -> Failure {
    Failure::new(Code::MissingParameter, format!("The request must contain the parameter {name}."))
}

fn within(name: &str, (least, most): (u32, u32), given: Number) -> Result<u32, Failure> {
    u32::try_from(given.0).ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        Failure::new(
            Code::InvalidParameterValue,
            format!(
                "Value {} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided.",
                given.0
            ),
        )
    })
}
