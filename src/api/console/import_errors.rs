//! Which DAG files do not import, folded from the journal when somebody asks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use super::Surroundings;
use crate::db::{Event, Journal, Numbered};
use crate::id::{EnvironmentName, ObjectKey};
use crate::limits::EVENTS_BATCH;

type Errors = BTreeMap<(EnvironmentName, ObjectKey), String>;

/// What the journal has said so far.
#[derive(Debug)]
pub(super) struct ImportErrors {
    folded: Mutex<Folded>,
}

#[derive(Debug)]
struct Folded {
    seen: u64,
    errors: Errors,
}

/// A DAG file that does not import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ImportError {
    pub(super) file: String,
    /// Counted from 1; 0 where Airflow did not say.
    pub(super) line: u32,
    pub(super) message: String,
}

impl ImportErrors {
    /// Every launch reads all files anew, so what earlier runs said does not matter.
    pub(super) fn from_now(journal: &Journal) -> ImportErrors {
        ImportErrors { folded: Mutex::new(Folded { seen: journal.last(), errors: Errors::new() }) }
    }

    /// The errors as they are now.
    pub(super) async fn now(&self, around: &Surroundings) -> rusqlite::Result<Errors> {
        loop {
            let seen = self.locked().seen;
            let events = around.db.events_after(seen, EVENTS_BATCH).await?;
            let last = events.is_empty();
            let mut folded = self.locked();
            for event in events {
                folded.hear(event);
            }
            if last {
                return Ok(folded.errors.clone());
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Folded> {
        self.folded.lock().expect("nothing panics under this lock")
    }
}

impl Folded {
    /// Two who ask at the same time read the same events; each is heard once.
    fn hear(&mut self, numbered: Numbered) {
        if numbered.seq <= self.seen {
            return;
        }
        self.seen = numbered.seq;
        match numbered.event {
            Event::DagParsed { environment, key, error: Some(error), .. } => {
                self.errors.insert((environment, key), error);
            }
            Event::DagParsed { environment, key, error: None, .. } => {
                self.errors.remove(&(environment, key));
            }
            Event::ObjectDeleted { key: gone, .. } => {
                self.errors.retain(|(_, key), _| *key != gone);
            }
            Event::ObjectWritten { .. }
            | Event::EnvironmentChanged { .. }
            | Event::WorkersScaled { .. }
            | Event::LogsAppended { .. } => {}
        }
    }
}

/// Takes the journal's one line, `file:line: message`, apart.
pub(super) fn parted(key: &ObjectKey, said: &str) -> ImportError {
    let placed = said.split_once(": ").and_then(|(place, message)| {
        let (file, line) = place.rsplit_once(':')?;
        let line = line.parse().ok()?;
        Some(ImportError { file: file.to_owned(), line, message: message.to_owned() })
    });
    placed.unwrap_or_else(|| ImportError {
        file: key.to_string(),
        line: 0,
        message: said.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_taken_apart_into_place_and_message() {
        let key = ObjectKey::parse("dags/a.py").unwrap();
        let error = parted(&key, "dags/a.py:3: NameError: name 'x' is not defined");
        assert_eq!((error.file.as_str(), error.line), ("dags/a.py", 3));
        assert_eq!(error.message, "NameError: name 'x' is not defined");
        assert_eq!(parted(&key, "Timeout: after 30 s").line, 0);
    }

    #[test]
    fn an_error_goes_when_the_file_is_mended_or_gone() {
        let environment = EnvironmentName::parse("dev").unwrap();
        let key = |name: &str| ObjectKey::parse(name).unwrap();
        let parsed = |seq, name: &str, error: Option<&str>| Numbered {
            seq,
            at: crate::clock::Timestamp::from_millis(0),
            event: Event::DagParsed {
                environment: environment.clone(),
                key: key(name),
                version: None,
                dag_ids: Vec::new(),
                took_ms: 1,
                error: error.map(str::to_owned),
            },
        };
        let mut folded = Folded { seen: 0, errors: Errors::new() };
        folded.hear(parsed(1, "dags/a.py", Some("a")));
        folded.hear(parsed(2, "dags/b.py", Some("b")));
        folded.hear(parsed(3, "dags/a.py", None));
        // Yesterday's news changes nothing.
        folded.hear(parsed(1, "dags/a.py", Some("a")));
        assert_eq!(folded.errors.len(), 1);
        let bucket = crate::id::BucketName::parse("bucket").unwrap();
        let at = crate::clock::Timestamp::from_millis(0);
        let event = Event::ObjectDeleted { bucket, key: key("dags/b.py") };
        folded.hear(Numbered { seq: 4, at, event });
        assert!(folded.errors.is_empty());
    }
}
