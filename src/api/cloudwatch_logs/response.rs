//! From results to members.

use serde_json::{Map, Value, json};

use super::{CloudwatchLogs, token};
use crate::id::LogGroupName;
use crate::logs::{Appended, Direction, Event, Found, Group, Page, Stream};

/// A group. Where it was found by a part of its name, AWS tells no more than what it is.
pub(super) fn group(service: &CloudwatchLogs, group: &Group) -> Value {
    let arn = service.group_arn(&group.name);
    let mut members = json!({
        "logGroupName": group.name,
        "creationTime": group.created.as_millis(),
        "metricFilterCount": 0,
        // AWS: this one ends in `:*`, the other does not.
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "storedBytes": group.stored_bytes,
        "logGroupClass": group.class.0,
    });
    if let Some(days) = group.retention_days {
        members["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.kms_key {
        members["kmsKeyId"] = json!(key);
    }
    members
}

pub(super) fn stream(service: &CloudwatchLogs, group: &LogGroupName, stream: &Stream) -> Value {
    let mut members = json!({
        "logStreamName": stream.name,
        "creationTime": stream.created.as_millis(),
        "uploadSequenceToken": token::of_name(stream.name.as_str()),
        "arn": format!("{}:log-stream:{}", service.group_arn(group), stream.name),
        // AWS: it has been 0 for every stream since 2019.
        "storedBytes": 0,
    });
    let moments = [
        ("firstEventTimestamp", stream.first_event),
        ("lastEventTimestamp", stream.last_event),
        ("lastIngestionTime", stream.last_ingestion),
    ];
    for (name, moment) in moments {
        if let Some(moment) = moment {
            members[name] = json!(moment.as_millis());
        }
    }
    members
}

/// A list under its name, and the token for more of it where there is more.
pub(super) fn listed(name: &str, list: Vec<Value>, next: Option<String>) -> Value {
    let mut members = Map::new();
    members.insert(name.to_owned(), Value::Array(list));
    // Absent at the end: not every SDK takes a null for one.
    members.extend(next.map(|next| ("nextToken".to_owned(), Value::String(next))));
    Value::Object(members)
}

/// AWS: clients take the very presence of `rejectedLogEventsInfo` for a failure.
pub(super) fn appended(appended: Appended) -> Value {
    let Appended { too_old_before, expired_before, too_new_from } = appended;
    let rejected: Map<String, Value> = [
        ("tooNewLogEventStartIndex", too_new_from),
        ("tooOldLogEventEndIndex", too_old_before),
        ("expiredLogEventEndIndex", expired_before),
    ]
    .into_iter()
    .filter_map(|(name, index)| Some((name.to_owned(), json!(index?))))
    .collect();
    let mut members = json!({});
    if !rejected.is_empty() {
        members["rejectedLogEventsInfo"] = Value::Object(rejected);
    }
    members
}

pub(super) fn page(page: &Page) -> Value {
    let events: Vec<Value> = page
        .events
        .iter()
        .map(|event| {
            json!({
                "timestamp": event.position.at_ms,
                "message": event.message,
                "ingestionTime": event.ingested.as_millis(),
            })
        })
        .collect();
    json!({
        "events": events,
        "nextForwardToken": token::forward(page.forward),
        "nextBackwardToken": token::backward(page.backward),
    })
}

pub(super) fn found(found: &Found, direction: Direction) -> Value {
    let event = |event: &Event| {
        json!({
            "logStreamName": event.stream,
            "timestamp": event.position.at_ms,
            "message": event.message,
            "ingestionTime": event.ingested.as_millis(),
            "eventId": token::id(event.position),
        })
    };
    let next = found.next.map(|next| match direction {
        Direction::Forward => token::forward(next),
        Direction::Backward => token::backward(next),
    });
    let mut members = listed("events", found.events.iter().map(event).collect(), next);
    members["searchedLogStreams"] = json!([]);
    members
}
