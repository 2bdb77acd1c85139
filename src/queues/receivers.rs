//! Receivers with a name: who holds which message, and who is to be given none.
//!
//! Whoever asks without a name is served as SQS serves everybody. One with a name is served while it is enrolled, and
//! what it holds can be told and taken back from it: that is how a worker is known to be idle, and how the messages of
//! a dead one return at once instead of after the visibility timeout. The roll is kept in memory: receivers end with
//! us, and what they held is released by the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Depth, QueueError, Queues, store};
use crate::id::{QueueName, ReceiverName};

/// The enrolled receivers of all queues.
#[derive(Clone, Debug, Default)]
pub(super) struct Roll(Arc<Mutex<BTreeSet<(QueueName, ReceiverName)>>>);

impl Roll {
    fn locked(&self) -> MutexGuard<'_, BTreeSet<(QueueName, ReceiverName)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looked up inside the transaction that hands out, so that who is struck off is handed nothing any more.
    pub(super) fn has(&self, queue: &QueueName, receiver: &ReceiverName) -> bool {
        self.locked().contains(&(queue.clone(), receiver.clone()))
    }

    fn strike_off(&self, queue: &QueueName, receiver: &ReceiverName) {
        self.locked().remove(&(queue.clone(), receiver.clone()));
    }
}

/// A queue's messages, and who holds those in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub depth: Depth,
    /// Messages in flight by receiver, of those with a name and at least one.
    pub held: BTreeMap<ReceiverName, u64>,
}

impl Queues {
    /// From now on the receiver is given messages of this queue. Idempotent.
    pub fn enrol(&self, queue: &QueueName, receiver: &ReceiverName) {
        if self.roll.locked().insert((queue.clone(), receiver.clone())) {
            // It may be waiting already.
            self.bells.ring(queue);
        }
    }

    /// From now on the receiver is given nothing; what it holds it keeps.
    pub fn retire(&self, queue: &QueueName, receiver: &ReceiverName) {
        self.roll.strike_off(queue, receiver);
    }

    /// Retires the receiver if it holds nothing, and says whether that is so. Nothing can come in between.
    pub async fn retire_idle(
        &self,
        queue: &QueueName,
        receiver: &ReceiverName,
    ) -> Result<bool, QueueError> {
        let (roll, now) = (self.roll.clone(), self.clock.now());
        let (name, receiver) = (queue.clone(), receiver.clone());
        self.at(queue, move |tx, row| {
            let idle = !store::held(tx, &row, now)?.contains_key(&receiver);
            if idle {
                roll.strike_off(&name, &receiver);
            }
            Ok(idle)
        })
        .await
    }

    /// The receiver is gone: it is given nothing, and what it held is there for others. Returns how much that was.
    pub async fn dismiss(
        &self,
        queue: &QueueName,
        receiver: &ReceiverName,
    ) -> Result<u64, QueueError> {
        self.retire(queue, receiver);
        let (now, bells) = (self.clock.now(), self.bells.clone());
        let (name, receiver) = (queue.clone(), receiver.clone());
        self.at(queue, move |tx, row| {
            let released = store::release_held_by(tx, row.id, &receiver, now)?;
            if released > 0 {
                bells.ring(&name);
            }
            Ok(released)
        })
        .await
    }

    /// How much there is, and who holds it.
    pub async fn load(&self, queue: &QueueName) -> Result<Load, QueueError> {
        let now = self.clock.now();
        // In the writers' line, like every look that a bell asks for: bells ring before the commit.
        self.at(queue, move |tx, row| {
            Ok(Load { depth: store::depth(tx, &row, now)?, held: store::held(tx, &row, now)? })
        })
        .await
    }

    /// Word of everything that may have changed the queue's load. Time alone changes it too: a hidden message comes
    /// back.
    pub fn changes(&self, queue: &QueueName) -> watch::Receiver<()> {
        self.bells.changes(queue)
    }
}
