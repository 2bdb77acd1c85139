//! `StartLiveTail`: what arrives, every second, until the caller has seen enough.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::CloudwatchLogs;
use super::request::Tail;
use crate::api::wire::{Response, event_stream};
use crate::limits::{
    LIVE_TAIL_EVENTS_MAX, LIVE_TAIL_MAX_SECONDS, LIVE_TAIL_UPDATE_MS, LOG_SCAN_EVENTS,
};
use crate::logs::Arrival;

/// One caller's tail.
struct Session {
    service: CloudwatchLogs,
    tail: Tail,
    after: i64,
    /// The protocol wants an update every second, also where there is nothing to tell.
    pulse: Interval,
    ends: Instant,
}

/// Answers with everything that arrives from now on.
pub(super) fn start(service: &CloudwatchLogs, tail: Tail, request_id: &str) -> Response {
    let hello = [
        // botocore reads nothing before it has seen this.
        event_stream::event("initial-response", &json!({})),
        event_stream::event("sessionStart", &opening(service, &tail, request_id)),
    ];
    let mut pulse = tokio::time::interval(Duration::from_millis(LIVE_TAIL_UPDATE_MS));
    pulse.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let session = Session {
        after: *service.logs.subscribe().borrow(),
        service: service.clone(),
        tail,
        pulse,
        ends: Instant::now() + Duration::from_secs(LIVE_TAIL_MAX_SECONDS),
    };
    let updates = stream::unfold(Some(session), |session| async {
        let (frame, session) = session?.next().await?;
        Some((frame, session))
    });
    let frames = futures::StreamExt::chain(stream::iter(hello), updates);
    let frames = futures::StreamExt::map(frames, Ok::<Bytes, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(frames));
    let kind = HeaderValue::from_static(event_stream::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn opening(service: &CloudwatchLogs, tail: &Tail, request_id: &str) -> Value {
    let groups: Vec<String> = tail.groups.iter().map(|group| service.group_arn(group)).collect();
    json!({
        "requestId": request_id,
        "sessionId": uuid::Uuid::new_v4().to_string(),
        "logGroupIdentifiers": groups,
        "logStreamNames": tail.names,
        "logStreamNamePrefixes": tail.prefixes,
        "logEventFilterPattern": tail.pattern_text,
    })
}

impl Session {
    /// The next frame, and the session where it goes on; `None` when windtunnel stops.
    async fn next(mut self) -> Option<(Bytes, Option<Session>)> {
        let closed = self.service.logs.closed();
        tokio::select! {
            () = closed.cancelled() => return None,
            _ = self.pulse.tick() => {}
        }
        if Instant::now() >= self.ends {
            let why = json!({ "message": "The live tail session has ended after three hours." });
            return Some((event_stream::exception("SessionTimeoutException", &why), None));
        }
        match self.update().await {
            Ok(update) => Some((event_stream::event("sessionUpdate", &update), Some(self))),
            Err(error) => {
                tracing::error!(%error, "a live tail ended");
                let why = json!({ "message": "The service cannot complete the request." });
                Some((event_stream::exception("SessionStreamingException", &why), None))
            }
        }
    }

    async fn update(&mut self) -> Result<Value, crate::logs::LogError> {
        let logs = &self.service.logs;
        let look = usize::try_from(LOG_SCAN_EVENTS).unwrap_or(usize::MAX);
        let arrivals = logs.arrivals(self.after, self.tail.groups.clone(), look).await?;
        let mut sampled = false;
        // More than anybody can read: on with what comes now.
        self.after = if arrivals.events.len() >= look {
            sampled = true;
            *logs.subscribe().borrow()
        } else {
            arrivals.last
        };
        let mut results: Vec<Value> = Vec::new();
        for arrival in arrivals.events.iter().filter(|arrival| self.tail.shows(arrival)) {
            if results.len() >= LIVE_TAIL_EVENTS_MAX {
                sampled = true;
                break;
            }
            results.push(self.show(arrival));
        }
        Ok(json!({ "sessionMetadata": { "sampled": sampled }, "sessionResults": results }))
    }

    fn show(&self, arrival: &Arrival) -> Value {
        let Arrival { group, event } = arrival;
        json!({
            "logStreamName": event.stream,
            "logGroupIdentifier": format!("{}:{group}", self.service.account),
            "message": event.message,
            "timestamp": event.position.at_ms,
            "ingestionTime": event.ingested.as_millis(),
        })
    }
}

impl Tail {
    fn shows(&self, arrival: &Arrival) -> bool {
        let stream = arrival.event.stream.as_str();
        let named = self.names.iter().any(|name| name == stream)
            || self.prefixes.iter().any(|prefix| stream.starts_with(prefix.as_str()))
            || (self.names.is_empty() && self.prefixes.is_empty());
        named && self.pattern.matches(&arrival.event.message)
    }
}
