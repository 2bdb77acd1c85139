//! From a body to a checked operation. Past this, nobody says "invalid".

use std::collections::BTreeMap;

use serde::Deserialize;

use super::failure::{Code, Failure};
use super::token;
use crate::clock::Timestamp;
use crate::id::{LogGroupName, LogStreamName};
use crate::limits::{LOG_BATCH_MAX_BYTES, LOG_EVENT_OVERHEAD_BYTES, LOG_EVENTS_MAX, LOG_NAMES_MAX};
use crate::logs::pattern::Pattern;
use crate::logs::{
    Ask, Direction, Draft, GroupClass, Names, NewGroup, Search, Span, StreamOrder, Streams,
};

/// What is asked, checked.
#[derive(Debug)]
pub(super) enum Asked {
    Once(Operation),
    /// An answer that goes on.
    Tail(Tail),
}

/// What is asked and answered at once.
#[derive(Debug)]
pub(super) enum Operation {
    CreateLogGroup(NewGroup),
    DeleteLogGroup(LogGroupName),
    DescribeLogGroups { names: Names, limit: u32 },
    SetRetention(LogGroupName, Option<u32>),
    Tag(LogGroupName, BTreeMap<String, String>),
    Untag(LogGroupName, Vec<String>),
    ListTags(LogGroupName),
    CreateLogStream(LogGroupName, LogStreamName),
    DeleteLogStream(LogGroupName, LogStreamName),
    DescribeLogStreams { group: LogGroupName, order: StreamOrder, direction: Direction, limit: u32 },
    PutLogEvents { group: LogGroupName, stream: LogStreamName, events: Vec<Draft> },
    GetLogEvents { group: LogGroupName, stream: LogStreamName, ask: Ask },
    FilterLogEvents { group: LogGroupName, search: Search },
}

/// What a live tail shows.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) groups: Vec<LogGroupName>,
    /// All streams where both lists are empty.
    pub(super) names: Vec<String>,
    pub(super) prefixes: Vec<String>,
    pub(super) pattern: Pattern,
    pub(super) pattern_text: String,
}

/// Every member that any operation has. Unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_group_identifiers: Option<Vec<String>>,
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    kms_key_id: Option<String>,
    retention_in_days: Option<i64>,
    resource_arn: Option<String>,
    log_stream_name: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    log_stream_name_prefixes: Option<Vec<String>>,
    order_by: Option<String>,
    descending: Option<bool>,
    limit: Option<i64>,
    next_token: Option<String>,
    log_events: Option<Vec<RawEvent>>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    start_from_head: Option<bool>,
    filter_pattern: Option<String>,
    log_event_filter_pattern: Option<String>,
    tag_keys: Option<Vec<String>>,
    /// A map to set, or, in `UntagLogGroup`, a list of keys.
    tags: Option<RawTags>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawTags {
    Set(BTreeMap<String, String>),
    Keys(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEvent {
    timestamp: Option<i64>,
    message: Option<String>,
}

/// The days that `PutRetentionPolicy` takes (API reference).
const RETENTIONS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

impl Asked {
    pub(super) fn read(action: &str, body: &[u8]) -> Result<Asked, Failure> {
        let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
        let raw: Raw = serde_json::from_slice(body)
            .map_err(|error| Failure::invalid(format!("The request is malformed: {error}")))?;
        if action == "StartLiveTail" {
            return raw.tail().map(Asked::Tail);
        }
        raw.operation(action).map(Asked::Once)
    }
}

impl Raw {
    fn operation(self, action: &str) -> Result<Operation, Failure> {
        let raw = self;
        Ok(match action {
            "CreateLogGroup" => Operation::CreateLogGroup(raw.new_group()?),
            "DeleteLogGroup" => Operation::DeleteLogGroup(raw.group()?),
            "DescribeLogGroups" => raw.describe_groups()?,
            "PutRetentionPolicy" => {
                Operation::SetRetention(raw.group()?, Some(retention(raw.retention_in_days)?))
            }
            "DeleteRetentionPolicy" => Operation::SetRetention(raw.group()?, None),
            "TagResource" => Operation::Tag(raw.resource()?, tags(raw.tags)?),
            "TagLogGroup" => Operation::Tag(raw.group()?, tags(raw.tags)?),
            "UntagResource" => Operation::Untag(raw.resource()?, keys(raw.tag_keys)?),
            "UntagLogGroup" => {
                let group = raw.group()?;
                let given = match raw.tags {
                    Some(RawTags::Keys(keys)) => Some(keys),
                    Some(RawTags::Set(_)) | None => None,
                };
                Operation::Untag(group, given.ok_or_else(|| missing("tags"))?)
            }
            "ListTagsForResource" => Operation::ListTags(raw.resource()?),
            "ListTagsLogGroup" => Operation::ListTags(raw.group()?),
            "CreateLogStream" => Operation::CreateLogStream(raw.group()?, raw.stream()?),
            "DeleteLogStream" => Operation::DeleteLogStream(raw.group()?, raw.stream()?),
            "DescribeLogStreams" => raw.describe_streams()?,
            "PutLogEvents" => raw.put_events()?,
            "GetLogEvents" => raw.get_events()?,
            "FilterLogEvents" => raw.filter_events()?,
            other => {
                let message =
                    format!("windtunnel does not serve the operation {other} of CloudWatch Logs.");
                return Err(Failure::new(Code::UnknownOperation, message));
            }
        })
    }

    fn group(&self) -> Result<LogGroupName, Failure> {
        let both = "Only one of logGroupName and logGroupIdentifier can be specified.";
        match (&self.log_group_name, &self.log_group_identifier) {
            (Some(_), Some(_)) => Err(Failure::invalid(both)),
            (Some(name), None) => group_name("logGroupName", name),
            (None, Some(given)) => group_name("logGroupIdentifier", named(given)),
            (None, None) => Err(missing("logGroupName")),
        }
    }

    fn resource(&self) -> Result<LogGroupName, Failure> {
        let arn = self.resource_arn.as_deref().ok_or_else(|| missing("resourceArn"))?;
        if !arn.starts_with("arn:") {
            return Err(Failure::invalid(format!("Invalid resource ARN: {arn}")));
        }
        group_name("resourceArn", named(arn))
    }

    fn stream(&self) -> Result<LogStreamName, Failure> {
        let name = self.log_stream_name.as_deref().ok_or_else(|| missing("logStreamName"))?;
        stream_name("logStreamName", name)
    }

    fn new_group(self) -> Result<NewGroup, Failure> {
        let name = self.log_group_name.as_deref().ok_or_else(|| missing("logGroupName"))?;
        let class = self.log_group_class.unwrap_or_else(|| "STANDARD".to_owned());
        if !["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"].contains(&class.as_str()) {
            let set = "Member must satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY]";
            return Err(constraint("logGroupClass", &class, set));
        }
        let tags = match self.tags {
            Some(RawTags::Set(tags)) => tags,
            Some(RawTags::Keys(_)) | None => BTreeMap::new(),
        };
        Ok(NewGroup {
            name: group_name("logGroupName", name)?,
            kms_key: self.kms_key_id,
            class: GroupClass(class),
            tags,
        })
    }

    fn describe_groups(self) -> Result<Operation, Failure> {
        if self.log_group_name_prefix.is_some() && self.log_group_name_pattern.is_some() {
            return Err(Failure::invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        Ok(Operation::DescribeLogGroups {
            limit: within("limit", LOG_NAMES_MAX, self.limit)?,
            names: Names {
                after: self.next_token.as_deref().map(token::name).transpose()?.unwrap_or_default(),
                prefix: self.log_group_name_prefix.unwrap_or_default(),
                part: self.log_group_name_pattern.unwrap_or_default(),
            },
        })
    }

    fn describe_streams(self) -> Result<Operation, Failure> {
        let group = self.group()?;
        let prefix = self.log_stream_name_prefix.unwrap_or_default();
        let after = self.next_token.as_deref();
        let order = match self.order_by.as_deref() {
            None | Some("LogStreamName") => {
                let after = after.map(token::name).transpose()?.unwrap_or_default();
                StreamOrder::Name { prefix, after }
            }
            Some("LastEventTime") if prefix.is_empty() => {
                StreamOrder::LastEvent { after: after.map(token::time_and_name).transpose()? }
            }
            Some("LastEventTime") => {
                return Err(Failure::invalid(
                    "Cannot order by LastEventTime with a logStreamNamePrefix.",
                ));
            }
            Some(other) => {
                let set = "Member must satisfy enum value set: [LogStreamName, LastEventTime]";
                return Err(constraint("orderBy", other, set));
            }
        };
        let direction = direction(self.descending.unwrap_or(false));
        let limit = within("limit", LOG_NAMES_MAX, self.limit)?;
        Ok(Operation::DescribeLogStreams { group, order, direction, limit })
    }

    fn put_events(self) -> Result<Operation, Failure> {
        let (group, stream) = (self.group()?, self.stream()?);
        let given = self.log_events.ok_or_else(|| missing("logEvents"))?;
        Ok(Operation::PutLogEvents { group, stream, events: drafts(given)? })
    }

    fn get_events(self) -> Result<Operation, Failure> {
        let (group, stream) = (self.group()?, self.stream()?);
        let last_ms = self.end_time.map_or(i64::MAX, |end| end.saturating_sub(1));
        let span = Span { first_ms: self.start_time.unwrap_or(0), last_ms };
        let limit = within("limit", LOG_EVENTS_MAX, self.limit)?;
        let (direction, from) = match self.next_token.as_deref() {
            None => (direction(!self.start_from_head.unwrap_or(false)), None),
            Some(given) => {
                let (direction, from) = token::place(given)?;
                (direction, Some(from))
            }
        };
        let ask = Ask { span, direction, from, limit };
        Ok(Operation::GetLogEvents { group, stream, ask })
    }

    fn filter_events(self) -> Result<Operation, Failure> {
        let group = self.group()?;
        let streams = match (self.log_stream_names, self.log_stream_name_prefix) {
            (Some(_), Some(_)) => {
                return Err(Failure::invalid(
                    "Both logStreamNames and logStreamNamePrefix cannot be specified.",
                ));
            }
            (Some(names), None) if names.len() > 100 => {
                return Err(Failure::invalid("logStreamNames can have at most 100 names."));
            }
            (Some(names), None) => {
                let names = names.iter().map(|name| stream_name("logStreamNames", name));
                Streams::Named(names.collect::<Result<_, _>>()?)
            }
            (None, Some(prefix)) => Streams::WithPrefix(prefix),
            (None, None) => Streams::All,
        };
        let span = Span {
            first_ms: self.start_time.unwrap_or(0),
            last_ms: self.end_time.unwrap_or(i64::MAX),
        };
        let direction = direction(!self.start_from_head.unwrap_or(true));
        let from = self.next_token.as_deref().map(token::place).transpose()?;
        let search = Search {
            streams,
            span,
            pattern: Pattern::parse(self.filter_pattern.as_deref().unwrap_or_default())?,
            direction,
            from: from.map(|(_, from)| from),
            limit: within("limit", LOG_EVENTS_MAX, self.limit)?,
        };
        Ok(Operation::FilterLogEvents { group, search })
    }

    fn tail(self) -> Result<Tail, Failure> {
        let given = self.log_group_identifiers.unwrap_or_default();
        if given.is_empty() || given.len() > 10 {
            return Err(Failure::invalid("logGroupIdentifiers must have 1 to 10 log groups."));
        }
        let groups = given.iter().map(|given| group_name("logGroupIdentifiers", named(given)));
        let groups: Vec<LogGroupName> = groups.collect::<Result<_, _>>()?;
        let names = self.log_stream_names.unwrap_or_default();
        let prefixes = self.log_stream_name_prefixes.unwrap_or_default();
        if !names.is_empty() && !prefixes.is_empty() {
            return Err(Failure::invalid(
                "Only one of logStreamNames and logStreamNamePrefixes can be specified.",
            ));
        }
        if groups.len() > 1 && !(names.is_empty() && prefixes.is_empty()) {
            return Err(Failure::invalid(
                "Log streams can be specified for a single log group only.",
            ));
        }
        let pattern_text = self.log_event_filter_pattern.unwrap_or_default();
        let pattern = Pattern::parse(&pattern_text)?;
        Ok(Tail { groups, names, prefixes, pattern, pattern_text })
    }
}

fn direction(backward: bool) -> Direction {
    if backward { Direction::Backward } else { Direction::Forward }
}

/// The group's name in `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without `:*`; or the name itself.
fn named(given: &str) -> &str {
    if given.starts_with("arn:") { given.split(':').nth(6).unwrap_or_default() } else { given }
}

fn group_name(member: &str, given: &str) -> Result<LogGroupName, Failure> {
    LogGroupName::parse(given).map_err(|_| {
        let rule = r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+ and have length 1 to 512";
        constraint(member, given, rule)
    })
}

fn stream_name(member: &str, given: &str) -> Result<LogStreamName, Failure> {
    LogStreamName::parse(given).map_err(|_| {
        let rule =
            "Member must satisfy regular expression pattern: [^:*]* and have length 1 to 512";
        constraint(member, given, rule)
    })
}

fn constraint(member: &str, given: &str, rule: &str) -> Failure {
    Failure::invalid(format!(
        "1 validation error detected: Value '{given}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

fn missing(member: &str) -> Failure {
    constraint(member, "null", "Member must not be null")
}

fn within(member: &str, max: u32, given: Option<i64>) -> Result<u32, Failure> {
    let given = given.unwrap_or(i64::from(max));
    let fine = u32::try_from(given).ok().filter(|given| (1..=max).contains(given));
    fine.ok_or_else(|| {
        let rule = format!("Member must have value between 1 and {max}");
        constraint(member, &given.to_string(), &rule)
    })
}

fn retention(given: Option<i64>) -> Result<u32, Failure> {
    let given = given.ok_or_else(|| missing("retentionInDays"))?;
    let fine = u32::try_from(given).ok().filter(|days| RETENTIONS.contains(days));
    fine.ok_or_else(|| {
        let set = format!("Member must satisfy enum value set: {RETENTIONS:?}");
        constraint("retentionInDays", &given.to_string(), &set)
    })
}

fn tags(given: Option<RawTags>) -> Result<BTreeMap<String, String>, Failure> {
    match given {
        Some(RawTags::Set(tags)) => Ok(tags),
        Some(RawTags::Keys(_)) | None => Err(missing("tags")),
    }
}

fn keys(given: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
    given.ok_or_else(|| missing("tagKeys"))
}

/// `PutLogEvents`'s rules about a batch as a whole. Those about time need the group.
fn drafts(given: Vec<RawEvent>) -> Result<Vec<Draft>, Failure> {
    if given.is_empty() || given.len() > LOG_EVENTS_MAX as usize {
        let rule = format!("Member must have length between 1 and {LOG_EVENTS_MAX}");
        return Err(constraint("logEvents", &format!("{} events", given.len()), &rule));
    }
    let mut bytes = 0;
    let mut events: Vec<Draft> = Vec::with_capacity(given.len());
    for (index, RawEvent { timestamp, message }) in given.into_iter().enumerate() {
        let member = |name: &str| format!("logEvents.{}.member.{name}", index + 1);
        let at = timestamp.ok_or_else(|| missing(&member("timestamp")))?;
        let message = message.ok_or_else(|| missing(&member("message")))?;
        if at < 0 {
            let rule = "Member must have value greater than or equal to 0";
            return Err(constraint(&member("timestamp"), &at.to_string(), rule));
        }
        if message.is_empty() {
            let rule = "Member must have length greater than or equal to 1";
            return Err(constraint(&member("message"), "", rule));
        }
        bytes += message.len() + LOG_EVENT_OVERHEAD_BYTES;
        let at = Timestamp::from_millis(at);
        if events.last().is_some_and(|before| at < before.at) {
            return Err(Failure::invalid(
                "Log events in a single PutLogEvents request must be in chronological order.",
            ));
        }
        events.push(Draft { at, message });
    }
    if bytes > LOG_BATCH_MAX_BYTES {
        return Err(Failure::invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {LOG_BATCH_MAX_BYTES}"
        )));
    }
    Ok(events)
}
