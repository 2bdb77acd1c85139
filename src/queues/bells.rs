//! Who waits for a queue is woken by its bell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::id::QueueName;

/// A bell per queue. Ringing one is only ever a reason to look.
#[derive(Clone, Debug, Default)]
pub(super) struct Bells(Arc<Mutex<HashMap<QueueName, Arc<Notify>>>>);

impl Bells {
    pub(super) fn of(&self, queue: &QueueName) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(queue) {
            return Arc::clone(bell);
        }
        Arc::clone(bells.entry(queue.clone()).or_default())
    }

    pub(super) fn ring(&self, queue: &QueueName) {
        self.of(queue).notify_waiters();
    }
}
