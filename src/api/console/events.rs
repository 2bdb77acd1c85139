//! The journal as a stream of server-sent events.
//!
//! A reader that asks for no number hears what happens from now on. A slow one is not waited for: it reads on from
//! where it is, and a reader that fell out of the journal goes on with the oldest event there is.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};

use super::Surroundings;
use super::launches::Launches;
use crate::api::wire::{Request, Response};
use crate::db::Numbered;
use crate::limits::{EVENTS_BATCH, EVENTS_KEEPALIVE_SECONDS};

const LAUNCHING: &[u8] = b"data: {\"type\":\"LaunchReported\"}\n\n";

/// Answers with every event after the asked-for one, until the reader or windtunnel goes.
///
/// With `?hints=1` there is word, without a number, of what is in no journal: a launch has gone a step further.
pub(super) fn stream(around: &Surroundings, launches: &Launches, request: &Request) -> Response {
    let after = asked(request).unwrap_or_else(|| around.db.journal().last());
    let (db, ending) = (around.db.clone(), around.ending.clone());
    let hints = request.uri().query().is_some_and(|query| query.contains("hints=1"));
    let mut launches = launches.changes();
    launches.mark_unchanged();
    let follow = stream::unfold((after, launches), move |(after, mut launches)| {
        let (db, ending) = (db.clone(), ending.clone());
        async move {
            // Register before looking, or an event between the two would be missed.
            let mut newest = db.journal().subscribe();
            newest.mark_unchanged();
            let events = db.events_after(after, EVENTS_BATCH).await.ok()?;
            if let Some(last) = events.last() {
                let next = last.seq;
                return Some((
                    Ok::<_, std::convert::Infallible>(written(&events)),
                    (next, launches),
                ));
            }
            let keepalive = Duration::from_secs(EVENTS_KEEPALIVE_SECONDS);
            tokio::select! {
                () = ending.cancelled() => None,
                changed = newest.changed() => {
                    changed.ok().map(|()| (Ok(Bytes::new()), (after, launches)))
                }
                Ok(()) = launches.changed(), if hints => {
                    Some((Ok(Bytes::from_static(LAUNCHING)), (after, launches)))
                }
                // A comment, so that a reader who has gone is noticed.
                () = tokio::time::sleep(keepalive) => {
                    Some((Ok(Bytes::from_static(b":\n\n")), (after, launches)))
                }
            }
        }
    });
    // The first bytes at once: a reader knows that it is connected before anything happens.
    let hello = stream::iter([Ok(Bytes::from_static(b": windtunnel\n\n"))]);
    let mut response = Response::new(Body::from_stream(futures::StreamExt::chain(hello, follow)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The number after which the reader wants to hear: `?after=N`, or where its last connection broke off.
fn asked(request: &Request) -> Option<u64> {
    let query = request.uri().query().unwrap_or_default();
    let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
    let again = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    again.or(after)?.parse().ok()
}

fn written(events: &[Numbered]) -> Bytes {
    let mut text = String::new();
    for numbered in events {
        let mut body = serde_json::to_value(&numbered.event).expect("an event is plain data");
        body["at"] = numbered.at.as_millis().into();
        text +=
            &["id: ", &numbered.seq.to_string(), "\ndata: ", &body.to_string(), "\n\n"].concat();
    }
    text.into()
}
