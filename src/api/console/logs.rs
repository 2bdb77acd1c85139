//! Log groups, streams and lines for our UI and for `windtunnel logs`.
//!
//! - `GET /logs/groups`: every group, by name.
//! - `GET /logs/streams?group=G[&prefix=P][&limit=N]`: streams of a group, the one with the newest line first; with a
//!   prefix, by name.
//! - `GET /logs/events?group=G[&stream=S…][&prefix=P][&since=MS][&until=MS][&pattern=F][&grep=R][&limit=N]`
//!   `[&order=newest][&from=TOKEN]`: lines in the order of their times. `pattern` is a CloudWatch filter pattern, `grep`
//!   a regular expression; both ends of the time are included. `next` is there where there may be more.
//! - `GET /logs/arrivals?group=G…[&after=N][&wait=true]`: lines in the order in which they came, after arrival N.
//!   Without `after`, none, and where to go on. With `wait` the answer comes once there is a line, or after a while.
//!
//! A line is `{"group", "stream", "at" (ms), "number" (counts arrivals over all streams), "message"}`. The event
//! stream's `LogsAppended` says when it is worth asking again; its `last` is a line's `number`.

use std::time::Duration;

use http::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::time::Instant;

use super::failure::Failure;
use super::{Surroundings, json};
use crate::api::wire::Response;
use crate::id::{LogGroupName, LogStreamName};
use crate::limits::{EVENTS_KEEPALIVE_SECONDS, LOG_EVENTS_MAX};
use crate::logs::pattern::Pattern;
use crate::logs::{Direction, Event, Names, Position, Search, Span, StreamOrder, Streams};

#[derive(Debug, Serialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: LogGroupName,
    created_ms: i64,
    retention_days: Option<u32>,
    stored_bytes: u64,
}

#[derive(Debug, Serialize)]
struct StreamList {
    streams: Vec<Stream>,
}

#[derive(Debug, Serialize)]
struct Stream {
    name: LogStreamName,
    created_ms: i64,
    first_event_ms: Option<i64>,
    last_event_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Lines {
    events: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Arrivals {
    events: Vec<Line>,
    /// What to ask `after` next.
    last: i64,
}

#[derive(Debug, Serialize)]
struct Line {
    group: LogGroupName,
    stream: LogStreamName,
    at: i64,
    number: i64,
    message: String,
}

impl Line {
    fn of(group: LogGroupName, event: Event) -> Line {
        let Event { position, stream, message, .. } = event;
        Line { group, stream, at: position.at_ms, number: position.number, message }
    }
}

/// The parameters of a query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(uri: &Uri) -> Query {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Query(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Failure> {
        let Some(given) = self.get(name) else { return Ok(None) };
        let bad = |_| Failure::BadParameter(format!("`{name}` is `{given}`, and not a number"));
        given.parse().map(Some).map_err(bad)
    }

    fn groups(&self) -> Result<Vec<LogGroupName>, Failure> {
        let groups: Result<Vec<_>, _> = self.all("group").map(LogGroupName::parse).collect();
        let groups = groups.map_err(|error| Failure::BadParameter(error.to_string()))?;
        if groups.is_empty() { Err(Failure::NoParameter("group")) } else { Ok(groups) }
    }
}

/// `GET /console/v1/logs/WHAT`.
pub(super) async fn answer(
    around: &Surroundings,
    what: &str,
    (method, uri): (&Method, &Uri),
) -> Result<Response, Failure> {
    match (method, what) {
        (&Method::GET, "groups") => Ok(json(StatusCode::OK, &groups(around).await?)),
        (&Method::GET, "streams") => Ok(json(StatusCode::OK, &streams(around, uri).await?)),
        (&Method::GET, "events") => Ok(json(StatusCode::OK, &events(around, uri).await?)),
        (&Method::GET, "arrivals") => Ok(json(StatusCode::OK, &arrivals(around, uri).await?)),
        _ => Err(Failure::NoSuchPage),
    }
}

async fn groups(around: &Surroundings) -> Result<Groups, Failure> {
    let groups = around.logs.groups(Names::default(), u32::MAX).await?;
    let told = groups.into_iter().map(|group| Group {
        name: group.name,
        created_ms: group.created.as_millis(),
        retention_days: group.retention_days,
        stored_bytes: group.stored_bytes,
    });
    Ok(Groups { groups: told.collect() })
}

async fn streams(around: &Surroundings, uri: &Uri) -> Result<StreamList, Failure> {
    let query = Query::of(uri);
    let group = query.groups()?.remove(0);
    let limit = query.number("limit")?.unwrap_or(LOG_EVENTS_MAX).min(LOG_EVENTS_MAX);
    let (order, direction) = match query.get("prefix") {
        None => (StreamOrder::LastEvent { after: None }, Direction::Backward),
        Some(prefix) => {
            let prefix = prefix.to_owned();
            (StreamOrder::Name { prefix, after: String::new() }, Direction::Forward)
        }
    };
    let streams = around.logs.streams(&group, order, (direction, limit)).await?;
    let told = streams.into_iter().map(|stream| Stream {
        name: stream.name,
        created_ms: stream.created.as_millis(),
        first_event_ms: stream.first_event.map(crate::clock::Timestamp::as_millis),
        last_event_ms: stream.last_event.map(crate::clock::Timestamp::as_millis),
    });
    Ok(StreamList { streams: told.collect() })
}

async fn events(around: &Surroundings, uri: &Uri) -> Result<Lines, Failure> {
    let query = Query::of(uri);
    let group = query.groups()?.remove(0);
    let search = search(&query)?;
    let found = around.logs.search(&group, search).await?;
    let lines = found.events.into_iter().map(|event| Line::of(group.clone(), event));
    let next = found.next.map(|Position { at_ms, number }| format!("{at_ms}.{number}"));
    Ok(Lines { events: lines.collect(), next })
}

fn search(query: &Query) -> Result<Search, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadParameter(error.to_string());
    let named: Result<Vec<_>, _> = query.all("stream").map(LogStreamName::parse).collect();
    let named = named.map_err(|error| bad(&error))?;
    let streams = match query.get("prefix") {
        _ if !named.is_empty() => Streams::Named(named),
        Some(prefix) => Streams::WithPrefix(prefix.to_owned()),
        None => Streams::All,
    };
    let pattern = match query.get("grep") {
        Some(regex) => Pattern::of_regex(regex),
        None => Pattern::parse(query.get("pattern").unwrap_or_default()),
    };
    let from = query.get("from").map(|token| {
        let (at, number) = token.split_once('.')?;
        Some(Position { at_ms: at.parse().ok()?, number: number.parse().ok()? })
    });
    if from == Some(None) {
        return Err(bad(&"`from` is no token of an earlier answer"));
    }
    let all = Span::ALL;
    Ok(Search {
        streams,
        span: Span {
            first_ms: query.number("since")?.unwrap_or(all.first_ms),
            last_ms: query.number("until")?.unwrap_or(all.last_ms),
        },
        pattern: pattern.map_err(|error| bad(&error))?,
        direction: match query.get("order") {
            Some("newest") => Direction::Backward,
            _ => Direction::Forward,
        },
        from: from.flatten(),
        limit: query.number("limit")?.unwrap_or(LOG_EVENTS_MAX).min(LOG_EVENTS_MAX),
    })
}

async fn arrivals(around: &Surroundings, uri: &Uri) -> Result<Arrivals, Failure> {
    let query = Query::of(uri);
    let groups = query.groups()?;
    let mut newest = around.logs.subscribe();
    let Some(mut after) = query.number("after")? else {
        return Ok(Arrivals { events: Vec::new(), last: *newest.borrow() });
    };
    let deadline = Instant::now() + Duration::from_secs(EVENTS_KEEPALIVE_SECONDS);
    loop {
        // Registered before the look: what arrives between the two must still wake us.
        newest.mark_unchanged();
        let limit = usize::try_from(LOG_EVENTS_MAX).unwrap_or(usize::MAX);
        let found = around.logs.arrivals(after, groups.clone(), limit).await?;
        after = found.last;
        if !found.events.is_empty() || query.get("wait") != Some("true") {
            let events =
                found.events.into_iter().map(|arrival| Line::of(arrival.group, arrival.event));
            return Ok(Arrivals { events: events.collect(), last: after });
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_ok() { continue },
            () = around.ending.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        return Ok(Arrivals { events: Vec::new(), last: after });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_may_repeat_a_name() {
        let uri = "/logs?group=a&group=b%2Fc&grep=x+y%3A&since=7&wait".parse().unwrap();
        let query = Query::of(&uri);
        let groups: Vec<String> = query.groups().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(groups, ["a", "b/c"]);
        assert_eq!(query.get("grep"), Some("x y:"));
        assert_eq!(query.number::<i64>("since").unwrap(), Some(7));
        assert!(query.number::<i64>("grep").is_err());
        assert!(search(&Query::of(&"/?from=x".parse().unwrap())).is_err());
    }
}
