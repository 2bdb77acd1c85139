//! The journal: what has happened, numbered in commit order.
//!
//! A reader keeps the number of the last event it has seen, waits on [`Journal::subscribe`], and asks for what came
//! after. The journal is bounded; a reader that fell out of it starts again at now and looks at everything afresh.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Schema;
use crate::clock::{Clock, Timestamp};
use crate::id::{BucketName, EnvironmentName, LogGroupName, LogStreamName, ObjectKey, VersionId};
use crate::limits::JOURNAL_MAX_EVENTS;

pub(super) const SCHEMA: Schema = Schema {
    room: "journal",
    steps: &["CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT"],
};

/// Something that has become true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "PascalCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A key has a new current version.
    ObjectWritten { bucket: BucketName, key: ObjectKey, version: VersionId },
    /// A key's current version has gone: behind a delete marker, or for good.
    ObjectDeleted { bucket: BucketName, key: ObjectKey },
    /// An environment is in another status, or its description changed.
    EnvironmentChanged { environment: EnvironmentName, status: String },
    /// Airflow has read a DAG file.
    DagParsed {
        environment: EnvironmentName,
        key: ObjectKey,
        version: Option<VersionId>,
        dag_ids: Vec<String>,
        /// From the version's being written to Airflow's database knowing it, in milliseconds.
        took_ms: i64,
        /// Why the file does not import, as one line with file and line; `None` when it does.
        error: Option<String>,
    },
    /// The number of Celery workers that an environment is to have is another.
    WorkersScaled {
        environment: EnvironmentName,
        from: u32,
        to: u32,
        /// Tasks that wait for a worker.
        queued: u64,
        /// Tasks that a worker has taken.
        running: u64,
    },
    /// A log stream has new events; `last` is the number of the newest one. Told twice a second at most.
    LogsAppended { group: LogGroupName, stream: LogStreamName, last: u64 },
}

/// An event with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Counts up from 1, in commit order.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Where to hear that something has happened.
#[derive(Clone, Debug)]
pub struct Journal {
    last: watch::Sender<u64>,
    clock: Clock,
}

impl Journal {
    pub(super) fn new(last: u64, clock: Clock) -> Journal {
        Journal { last: watch::Sender::new(last), clock }
    }

    /// The number of the newest event; it changes when there is a newer one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The number of the newest event.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    pub(super) fn record(
        &self,
        tx: &Connection,
        events: &[Event],
    ) -> rusqlite::Result<Option<u64>> {
        let at = self.clock.now().as_millis();
        let mut last = None;
        for event in events {
            let body = serde_json::to_string(event).expect("an event is plain data");
            tx.prepare_cached("INSERT INTO events (at_ms, body) VALUES (?1, ?2)")?
                .execute((at, body))?;
            last = Some(tx.last_insert_rowid());
        }
        if let Some(last) = last {
            tx.prepare_cached("DELETE FROM events WHERE seq <= ?1")?
                .execute([last - JOURNAL_MAX_EVENTS])?;
        }
        Ok(last.map(i64::cast_unsigned))
    }

    pub(super) fn announce(&self, last: Option<u64>) {
        if let Some(last) = last {
            self.last.send_replace(last);
        }
    }
}

pub(super) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
        row.get::<_, i64>(0).map(i64::cast_unsigned)
    })
}

pub(super) fn after(
    connection: &Connection,
    seq: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Numbered>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, at_ms, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map((seq.cast_signed(), limit), |row| {
        let body: String = row.get(2)?;
        let event = serde_json::from_str(&body).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                2,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?;
        Ok(Numbered {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            at: Timestamp::from_millis(row.get(1)?),
            event,
        })
    })?;
    rows.collect()
}
