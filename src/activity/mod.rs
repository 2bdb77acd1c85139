//! What the AWS endpoint was asked lately, for who wants to see why a client fails.
//!
//! Promise: bounded in number and in bytes, per service, so that a busy queue does not push out the one call that
//! matters; nothing is on disk, and it is empty after a start.
//! Not here: taking secrets out of what is kept (`gateway`, which knows where they stand).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::limits::{ACTIVITY_MAX_BYTES, ACTIVITY_MAX_CALLS};

/// The record of calls. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Activity {
    kept: Arc<Mutex<Kept>>,
    last: watch::Sender<u64>,
}

/// One call of one service, with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// `s3`, `airflow`, …
    pub service: String,
    /// The operation's name where the request says it; method and path otherwise.
    pub operation: String,
    pub method: String,
    /// With the query.
    pub path: String,
    /// The answer's.
    pub status: u16,
    pub micros: u64,
    pub request_id: String,
    /// The access key that the request names; empty when it names none.
    pub access_key_id: String,
    /// What the client calls itself.
    pub agent: String,
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    /// `None` where it was too large or streamed.
    pub request_body: Option<String>,
    pub response_body: Option<String>,
}

/// A call with its place and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Counts up from 1, in the order of the answers.
    pub seq: u64,
    /// When it was answered.
    pub at: Timestamp,
    pub call: Arc<Call>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    services: BTreeMap<String, Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    bytes: usize,
    calls: VecDeque<Numbered>,
}

impl Call {
    fn size_bytes(&self) -> usize {
        let headers = self.request_headers.iter().chain(&self.response_headers);
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        let bodies = [&self.request_body, &self.response_body];
        let bodies: usize = bodies.into_iter().flatten().map(String::len).sum();
        // The names and numbers beside them.
        headers + bodies + self.path.len() + 512
    }
}

impl Default for Activity {
    fn default() -> Activity {
        Activity { kept: Arc::default(), last: watch::Sender::new(0) }
    }
}

impl Activity {
    /// Keeps a call; forgets the oldest of its service where there are too many.
    pub fn record(&self, call: Call, at: Timestamp) {
        let mut locked = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        locked.last += 1;
        let seq = locked.last;
        let of_service = locked.services.entry(call.service.clone()).or_default();
        of_service.bytes += call.size_bytes();
        of_service.calls.push_back(Numbered { seq, at, call: Arc::new(call) });
        while of_service.calls.len() > ACTIVITY_MAX_CALLS || of_service.bytes > ACTIVITY_MAX_BYTES {
            let Some(oldest) = of_service.calls.pop_front() else { break };
            of_service.bytes -= oldest.call.size_bytes();
        }
        drop(locked);
        self.last.send_replace(seq);
    }

    /// The calls after `seq`, the oldest first.
    pub fn after(&self, seq: u64) -> Vec<Numbered> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let shelves = kept.services.values();
        let newer = shelves.flat_map(|shelf| {
            shelf.calls.iter().skip(shelf.calls.partition_point(|call| call.seq <= seq))
        });
        let mut found: Vec<Numbered> = newer.cloned().collect();
        found.sort_by_key(|call| call.seq);
        found
    }

    /// The call of that number, while it is kept.
    pub fn get(&self, seq: u64) -> Option<Numbered> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.services.values().find_map(|shelf| {
            let at = shelf.calls.binary_search_by_key(&seq, |call| call.seq).ok()?;
            shelf.calls.get(at).cloned()
        })
    }

    /// The number of the newest call; it changes with every call.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, body: usize) -> Call {
        let response_body = Some("x".repeat(body));
        Call { service: service.to_owned(), response_body, ..Call::default() }
    }

    #[test]
    fn a_busy_service_pushes_out_its_own_calls_only() {
        let activity = Activity::default();
        activity.record(call("airflow", 10), Timestamp::from_millis(1));
        for _ in 0..ACTIVITY_MAX_CALLS + 5 {
            activity.record(call("sqs", 10), Timestamp::from_millis(2));
        }
        let all = activity.after(0);
        assert_eq!(all.len(), ACTIVITY_MAX_CALLS + 1);
        assert_eq!(all[0].call.service, "airflow");
        assert_eq!(all[1].seq, 7, "the five oldest of the queue's have gone");
        assert_eq!(activity.get(1).unwrap().call.service, "airflow");
        assert_eq!(activity.get(2), None);
    }

    #[test]
    fn large_bodies_count_against_the_bytes() {
        let activity = Activity::default();
        for _ in 0..10 {
            activity.record(call("s3", ACTIVITY_MAX_BYTES / 4), Timestamp::from_millis(1));
        }
        assert!(activity.after(0).len() < 4);
        assert_eq!(activity.after(0).last().unwrap().seq, 10);
    }

    #[test]
    fn what_is_new_is_told() {
        let activity = Activity::default();
        let mut told = activity.subscribe();
        told.mark_unchanged();
        activity.record(call("s3", 1), Timestamp::from_millis(1));
        assert!(told.has_changed().unwrap());
        assert_eq!(activity.after(1), []);
    }
}
