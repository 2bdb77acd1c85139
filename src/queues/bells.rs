//! Who waits for a queue is woken by its bell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::id::QueueName;

/// A bell per queue. Ringing one is only ever a reason to look.
#[derive(Clone, Debug, Default)]
pub(super) struct Bells(Arc<Mutex<HashMap<QueueName, Bell>>>);

#[derive(Debug, Default)]
struct Bell {
    /// There may be something to receive.
    arrivals: Arc<Notify>,
    /// The depth may be another.
    changes: watch::Sender<()>,
}

impl Bells {
    fn locked(&self) -> MutexGuard<'_, HashMap<QueueName, Bell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What receivers wait for.
    pub(super) fn of(&self, queue: &QueueName) -> Arc<Notify> {
        let mut bells = self.locked();
        if let Some(bell) = bells.get(queue) {
            return Arc::clone(&bell.arrivals);
        }
        Arc::clone(&bells.entry(queue.clone()).or_default().arrivals)
    }

    /// What those wait for who follow the depth.
    pub(super) fn changes(&self, queue: &QueueName) -> watch::Receiver<()> {
        self.locked().entry(queue.clone()).or_default().changes.subscribe()
    }

    /// There may be something to receive.
    pub(super) fn ring(&self, queue: &QueueName) {
        self.of(queue).notify_waiters();
        self.changed(queue);
    }

    /// Nothing more to receive, but another depth.
    pub(super) fn changed(&self, queue: &QueueName) {
        if let Some(bell) = self.locked().get(queue) {
            bell.changes.send_replace(());
        }
    }
}
