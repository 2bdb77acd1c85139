//! Queues: visibility, receipts, long waits, redrive.
//!
//! Promise: a sent message is kept until it is deleted or too old; it is never handed to two receivers at once.
//! Not here: HTTP, queue URLs, digests of attributes (`api::sqs`).

use crate::clock::Clock;
use crate::db::{Db, Schema};
use crate::id::QueueName;

pub const SCHEMA: Schema = Schema { room: "queues", steps: &[] };

/// All queues of one windtunnel.
#[derive(Clone, Debug)]
pub struct Queues {
    db: Db,
    clock: Clock,
}

/// How many messages a queue has, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

/// Why a queue could not do it. (The real room has an enum per verb that can fail in its own way.)
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("queue `{0}` does not exist")]
    NoSuchQueue(QueueName),
    #[error("the queue index failed")]
    Index(#[from] rusqlite::Error),
}

impl Queues {
    pub async fn open(db: Db, clock: Clock) -> Result<Queues, QueueError> {
        Ok(Queues { db, clock })
    }

    /// Makes sure that the queue exists, with this visibility timeout.
    pub async fn ensure(
        &self,
        queue: &QueueName,
        visibility_seconds: u32,
    ) -> Result<(), QueueError> {
        todo!("{:?} {:?} {queue} {visibility_seconds}", self.db, self.clock)
    }

    /// Removes the queue and its messages. Idempotent.
    pub async fn remove(&self, queue: &QueueName) -> Result<(), QueueError> {
        todo!("{queue}")
    }

    /// Makes every hidden message visible at once: its receivers are known to be gone. Returns how many.
    pub async fn release_in_flight(&self, queue: &QueueName) -> Result<u64, QueueError> {
        todo!("{queue}")
    }

    pub async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        todo!("{queue}")
    }
}
