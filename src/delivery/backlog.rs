//! Which dag files Airflow should read next. Pure.
//!
//! A file is never read twice at once: the elder reading could end last, and Airflow would keep what is old.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::id::VersionId;
use crate::runtime::DagChanges;

/// Why a file should be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody saved it. These go first: a person waits.
    Saved { version: VersionId, at: Timestamp },
    /// Somebody deleted it.
    Deleted,
    /// Airflow has just started, or something that the file may import has changed.
    Again,
}

/// A reading that is wanted or under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) cause: Cause,
    /// Readings that failed for reasons of ours.
    pub(super) failures: u32,
}

impl Want {
    pub(super) fn of(cause: Cause) -> Want {
        Want { cause, failures: 0 }
    }
}

/// The files of one reading.
pub(super) type Batch = BTreeMap<PathBuf, Want>;

/// What is wanted and what is under way.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    wanted: BTreeMap<PathBuf, Want>,
    busy: BTreeSet<PathBuf>,
}

/// Files in one reading: few, so that what is saved meanwhile need not wait for all of them.
const BATCH: usize = 8;

impl Backlog {
    /// Asks for a reading. A later cause replaces an earlier one, but `Again` never hides what somebody did.
    pub(super) fn add(&mut self, path: PathBuf, want: Want) {
        if want.cause == Cause::Again && self.wanted.contains_key(&path) {
            return;
        }
        self.wanted.insert(path, want);
    }

    /// The next files to read, if there are any that are not being read already.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let free = |(path, _): &(&PathBuf, &Want)| !self.busy.contains(*path);
        let (again, eager): (Vec<_>, Vec<_>) =
            self.wanted.iter().filter(free).partition(|(_, want)| want.cause == Cause::Again);
        let next: Vec<PathBuf> =
            // What a person waits for is not put behind a launch's readings, nor beside them.
            if eager.is_empty() { again } else { eager }
                .into_iter()
                .take(BATCH)
                .map(|(path, _)| path.clone())
                .collect();
        let mut batch = Batch::new();
        for path in next {
            if let Some(want) = self.wanted.remove(&path) {
                self.busy.insert(path.clone());
                batch.insert(path, want);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// A reading is over, however it ended.
    pub(super) fn done<'p>(&mut self, paths: impl IntoIterator<Item = &'p PathBuf>) {
        for path in paths {
            self.busy.remove(path);
        }
    }

    /// Airflow is not there to read: it will read everything when it is back.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
    }
}

/// What to ask the runtime for.
pub(super) fn changes(batch: &Batch) -> DagChanges {
    let mut changes = DagChanges::default();
    for (path, want) in batch {
        match want.cause {
            Cause::Deleted => changes.removed.push(path.clone()),
            Cause::Saved { .. } | Cause::Again => changes.written.push(path.clone()),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Want {
        Want::of(Cause::Saved { version: VersionId::null(), at: Timestamp::from_millis(1) })
    }

    fn again() -> Want {
        Want::of(Cause::Again)
    }

    #[test]
    fn a_save_goes_before_what_a_launch_wants() {
        let mut backlog = Backlog::default();
        for name in 0..20 {
            backlog.add(PathBuf::from(format!("{name:02}.py")), again());
        }
        let first = backlog.take().unwrap();
        assert_eq!(first.len(), BATCH);
        backlog.add(PathBuf::from("19.py"), saved());
        assert_eq!(backlog.take().unwrap(), Batch::from([(PathBuf::from("19.py"), saved())]));
    }

    #[test]
    fn a_file_that_is_being_read_is_read_again_afterwards_and_not_beside() {
        let mut backlog = Backlog::default();
        backlog.add(PathBuf::from("a.py"), saved());
        let first = backlog.take().unwrap();
        backlog.add(PathBuf::from("a.py"), saved());
        assert_eq!(backlog.take(), None);
        backlog.done(first.keys());
        assert_eq!(backlog.take().unwrap(), first);
        assert_eq!(backlog.take(), None);
    }

    #[test]
    fn to_read_again_does_not_hide_a_deletion() {
        let mut backlog = Backlog::default();
        backlog.add(PathBuf::from("a.py"), Want::of(Cause::Deleted));
        backlog.add(PathBuf::from("a.py"), again());
        let batch = backlog.take().unwrap();
        assert_eq!(changes(&batch).removed, [PathBuf::from("a.py")]);
    }
}
