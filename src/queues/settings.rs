//! A queue's settings, and changes to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::QueueName;

/// What a queue was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub visibility_seconds: u32,
    pub delay_seconds: u32,
    /// A message is dropped when it is older than this.
    pub retention_seconds: u32,
    pub max_bytes: u32,
    /// How long a receive waits that does not say so itself.
    pub wait_seconds: u32,
    pub fifo: bool,
    pub deduplicates_by_content: bool,
    pub redrive: Option<Redrive>,
    /// Texts that are kept for who wrote them and mean nothing here.
    pub notes: BTreeMap<String, String>,
}

/// What happens to a message that is received again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    pub target: QueueName,
    /// Received so often and not deleted, a message goes to `target`.
    pub max_receives: u32,
}

/// One setting that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    VisibilitySeconds(u32),
    DelaySeconds(u32),
    RetentionSeconds(u32),
    MaxBytes(u32),
    WaitSeconds(u32),
    Fifo(bool),
    DeduplicatesByContent(bool),
    Redrive(Option<Redrive>),
    /// `None` forgets it.
    Note(String, Option<String>),
}

impl Settings {
    /// SQS's defaults (SQS API reference, `CreateQueue`).
    pub(super) fn new(fifo: bool) -> Settings {
        Settings {
            visibility_seconds: 30,
            delay_seconds: 0,
            retention_seconds: 345_600,
            max_bytes: 1_048_576,
            wait_seconds: 0,
            fifo,
            deduplicates_by_content: false,
            redrive: None,
            notes: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::VisibilitySeconds(seconds) => self.visibility_seconds = *seconds,
                Change::DelaySeconds(seconds) => self.delay_seconds = *seconds,
                Change::RetentionSeconds(seconds) => self.retention_seconds = *seconds,
                Change::MaxBytes(bytes) => self.max_bytes = *bytes,
                Change::WaitSeconds(seconds) => self.wait_seconds = *seconds,
                Change::Fifo(fifo) => self.fifo = *fifo,
                Change::DeduplicatesByContent(does) => self.deduplicates_by_content = *does,
                Change::Redrive(redrive) => self.redrive.clone_from(redrive),
                Change::Note(name, Some(text)) => {
                    self.notes.insert(name.clone(), text.clone());
                }
                Change::Note(name, None) => {
                    self.notes.remove(name);
                }
            }
        }
    }

    /// The first change that would change something.
    pub(super) fn first_difference(&self, changes: &[Change]) -> Option<Change> {
        let differs = |change: &&Change| {
            let mut after = self.clone();
            after.apply(std::slice::from_ref(change));
            after != *self
        };
        changes.iter().find(differs).cloned()
    }
}
