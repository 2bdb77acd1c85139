//! What the AWS endpoint was asked lately.

use std::time::Duration;

use http::{StatusCode, Uri};
use serde_json::{Value, json as value};

use super::failure::Failure;
use super::{Surroundings, json, query};
use crate::activity::Numbered;
use crate::api::wire::Response;
use crate::limits::ACTIVITY_WAIT_SECONDS;

/// `GET /activity?after=N&wait=1`: the calls after a number; with `wait`, as soon as there is one.
pub(super) async fn list(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let after = query::number(uri, "after", 0)?;
    let mut newest = around.activity.subscribe();
    // Register before looking, or a call between the two would be missed.
    newest.mark_unchanged();
    let mut calls = around.activity.after(after);
    if calls.is_empty() && query::maybe(uri, "wait").is_some() {
        let patience = Duration::from_secs(ACTIVITY_WAIT_SECONDS);
        tokio::select! {
            _ = tokio::time::timeout(patience, newest.changed()) => {}
            () = around.ending.cancelled() => {}
        }
        calls = around.activity.after(after);
    }
    let told: Vec<Value> = calls.iter().map(line).collect();
    Ok(json(StatusCode::OK, &told))
}

/// `GET /activity/N`: one call with headers and bodies.
pub(super) fn one(around: &Surroundings, seq: &str) -> Result<Response, Failure> {
    let found = seq.parse().ok().and_then(|seq| around.activity.get(seq));
    let found = found.ok_or(Failure::NoSuchPage)?;
    let mut told = line(&found);
    let call = &found.call;
    told["request_headers"] = value!(call.request_headers);
    told["response_headers"] = value!(call.response_headers);
    told["request_body"] = value!(call.request_body);
    told["response_body"] = value!(call.response_body);
    Ok(json(StatusCode::OK, &told))
}

fn line(numbered: &Numbered) -> Value {
    let call = &numbered.call;
    value!({
        "seq": numbered.seq,
        "at": numbered.at.as_millis(),
        "service": call.service,
        "operation": call.operation,
        "method": call.method,
        "path": call.path,
        "status": call.status,
        "micros": call.micros,
        "request_id": call.request_id,
        "access_key_id": call.access_key_id,
        "agent": call.agent,
    })
}
