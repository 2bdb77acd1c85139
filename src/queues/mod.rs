//! Queues: visibility, receipts, long waits, redrive.
//!
//! Promise: a sent message is kept until it is deleted or too old; it is never handed to two receivers at once; a
//! receiver that went away before it was answered has received nothing.
//! Not here: HTTP, queue URLs, digests of attributes (`api::sqs`).

mod bells;
mod receipt;
mod receivers;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Schema};
use crate::id::{QueueName, ReceiverName};
use crate::limits::{LONG_POLL_MAX_MS, VISIBILITY_MAX_SECONDS};
use bells::Bells;
pub use receipt::{BadReceipt, Receipt};
pub use receivers::Load;
use receivers::Roll;
pub use settings::{Change, Redrive, Settings};

pub const SCHEMA: Schema = store::SCHEMA;

/// All queues of one windtunnel. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Queues {
    db: Db,
    clock: Clock,
    bells: Bells,
    roll: Roll,
    closed: watch::Sender<bool>,
}

/// How many messages a queue has, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

/// What a queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub settings: Settings,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub depth: Depth,
}

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    /// `None`: the queue's own delay.
    pub delay_seconds: Option<u32>,
    pub group: Option<String>,
    /// Messages with equal ones within five minutes are one message (FIFO queues).
    pub deduplication: Option<String>,
    /// Who sends, for the receiver to see.
    pub sender: String,
    pub trace: Option<String>,
}

/// A value that travels beside a message's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// For example `String` or `Number.int`.
    pub kind: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

/// A message was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub id: String,
    /// Its place, on a FIFO queue.
    pub sequence: Option<i64>,
}

/// A message as its receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub receipt: Receipt,
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    pub sender: String,
    pub sent: Timestamp,
    /// This receive included.
    pub receives: u32,
    pub first_received: Timestamp,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    pub sequence: Option<i64>,
    pub trace: Option<String>,
    /// The queue that gave it up.
    pub dead_letter_source: Option<QueueName>,
}

/// What a receiver asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub max: u32,
    /// How long to wait for a first message; `None`: as the queue says.
    pub wait: Option<Duration>,
    /// How long to hide what is handed out; `None`: as the queue says.
    pub visibility_seconds: Option<u32>,
}

/// Why a queue could not do it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("queue `{0}` does not exist")]
    NoSuchQueue(QueueName),
    #[error("the queue index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why a queue was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("queue `{queue}` exists with another value: {change:?}")]
    Differs { queue: QueueName, change: Change },
    #[error("the queue index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why one message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the message has {size_bytes} bytes; the queue takes {max_bytes}")]
    TooLarge { size_bytes: usize, max_bytes: u32 },
    #[error("a FIFO queue needs a message group")]
    NoGroup,
    #[error("a FIFO queue needs a deduplication id, or to take it from the body")]
    NoDeduplication,
    #[error("a FIFO queue takes no delay of a single message")]
    DelayOnFifo,
}

/// Why a message's visibility was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisibilityError {
    #[error(transparent)]
    BadReceipt(#[from] BadReceipt),
    #[error("the message is deleted")]
    Deleted,
    #[error("the message is not hidden")]
    NotInFlight,
    #[error("the message would be hidden for more than {VISIBILITY_MAX_SECONDS} s in all")]
    TooLong,
}

/// Whether a queue of this name keeps the order: no other name may hold a dot.
pub fn is_fifo(queue: &QueueName) -> bool {
    queue.as_str().contains('.')
}

impl Queues {
    #[expect(clippy::unused_async, reason = "opening a store is asynchronous everywhere")]
    pub async fn open(db: Db, clock: Clock) -> Result<Queues, QueueError> {
        let (bells, roll) = (Bells::default(), Roll::default());
        Ok(Queues { db, clock, bells, roll, closed: watch::Sender::new(false) })
    }

    /// Ends every long wait with no messages, now and from now on: for a clean shutdown.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Makes sure that the queue exists, with this visibility timeout.
    pub async fn ensure(
        &self,
        queue: &QueueName,
        visibility_seconds: u32,
    ) -> Result<(), QueueError> {
        let changes = vec![Change::VisibilitySeconds(visibility_seconds)];
        match self.create(queue, changes.clone(), BTreeMap::new()).await {
            Ok(()) => Ok(()),
            Err(CreateError::Differs { .. }) => self.configure(queue, changes).await,
            Err(CreateError::Index(error)) => Err(error.into()),
        }
    }

    /// Creates a queue. Where it exists with the same values for all `changes`, that is success too.
    pub async fn create(
        &self,
        queue: &QueueName,
        changes: Vec<Change>,
        tags: BTreeMap<String, String>,
    ) -> Result<(), CreateError> {
        let (queue, now) = (queue.clone(), self.clock.now());
        self.db
            .write(move |tx| {
                if let Some(row) = store::find(tx, &queue)? {
                    return match row.settings.first_difference(&changes) {
                        None => Ok(()),
                        Some(change) => Err(CreateError::Differs { queue, change }),
                    };
                }
                let mut settings = Settings::new(is_fifo(&queue));
                settings.apply(&changes);
                let id = store::insert(tx, &queue, &settings, now)?;
                store::tag(tx, id, &tags)?;
                Ok(())
            })
            .await
    }

    /// Changes settings of a queue.
    pub async fn configure(
        &self,
        queue: &QueueName,
        changes: Vec<Change>,
    ) -> Result<(), QueueError> {
        let now = self.clock.now();
        self.at(queue, move |tx, mut row| {
            row.settings.apply(&changes);
            store::update(tx, row.id, &row.settings, now).map_err(QueueError::Index)
        })
        .await
    }

    /// Removes the queue and its messages. Idempotent.
    pub async fn remove(&self, queue: &QueueName) -> Result<(), QueueError> {
        match self.delete(queue).await {
            Ok(()) | Err(QueueError::NoSuchQueue(_)) => Ok(()),
            Err(error @ QueueError::Index(_)) => Err(error),
        }
    }

    /// Removes the queue and its messages.
    pub async fn delete(&self, queue: &QueueName) -> Result<(), QueueError> {
        let (bells, name) = (self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            store::remove(tx, row.id)?;
            bells.ring(&name);
            Ok(())
        })
        .await
    }

    /// Removes every message. Returns how many.
    pub async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let (bells, name) = (self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            let gone = store::purge(tx, row.id)?;
            bells.changed(&name);
            Ok(gone)
        })
        .await
    }

    /// Makes every hidden message visible at once: its receivers are known to be gone. Returns how many.
    pub async fn release_in_flight(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let (now, bells, name) = (self.clock.now(), self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            let released = store::release_held(tx, row.id, now)?;
            bells.ring(&name);
            Ok(released)
        })
        .await
    }

    pub async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        self.describe(queue).await.map(|description| description.depth)
    }

    /// The depth, and how long the oldest message has been waiting that anyone could receive.
    pub async fn waiting(&self, queue: &QueueName) -> Result<(Depth, Duration), QueueError> {
        let (queue, now) = (queue.clone(), self.clock.now());
        self.db
            .read(move |connection| {
                let row = store::find(connection, &queue)?
                    .ok_or_else(|| QueueError::NoSuchQueue(queue.clone()))?;
                let sent = store::oldest_visible(connection, &row, now)?;
                let age_ms = sent.map_or(0, |sent| now.as_millis() - sent.as_millis());
                let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or_default());
                Ok((store::depth(connection, &row, now)?, age))
            })
            .await
    }

    pub async fn describe(&self, queue: &QueueName) -> Result<Description, QueueError> {
        let (queue, now) = (queue.clone(), self.clock.now());
        self.db
            .read(move |connection| {
                let row = store::find(connection, &queue)?
                    .ok_or_else(|| QueueError::NoSuchQueue(queue.clone()))?;
                let depth = store::depth(connection, &row, now)?;
                let store::Row { settings, created, modified, .. } = row;
                Ok(Description { settings, created, modified, depth })
            })
            .await
    }

    /// Names that begin with `prefix`, after `after`, in order, `limit` at most.
    pub async fn names(
        &self,
        prefix: &str,
        after: Option<QueueName>,
        limit: u32,
    ) -> Result<Vec<QueueName>, QueueError> {
        let prefix = prefix.to_owned();
        self.db
            .read(move |connection| {
                store::names(connection, &prefix, after.as_ref(), limit).map_err(QueueError::Index)
            })
            .await
    }

    /// Queues whose given-up messages go to `queue`.
    pub async fn dead_letter_sources(
        &self,
        queue: &QueueName,
    ) -> Result<Vec<QueueName>, QueueError> {
        let name = queue.clone();
        self.at(queue, move |tx, _| store::sources_of(tx, &name).map_err(QueueError::Index)).await
    }

    pub async fn tags(&self, queue: &QueueName) -> Result<BTreeMap<String, String>, QueueError> {
        self.at(queue, |tx, row| store::tags(tx, row.id).map_err(QueueError::Index)).await
    }

    pub async fn tag(
        &self,
        queue: &QueueName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), QueueError> {
        self.at(queue, move |tx, row| store::tag(tx, row.id, &tags).map_err(QueueError::Index))
            .await
    }

    pub async fn untag(&self, queue: &QueueName, keys: Vec<String>) -> Result<(), QueueError> {
        self.at(queue, move |tx, row| store::untag(tx, row.id, &keys).map_err(QueueError::Index))
            .await
    }

    /// Takes messages in, each for itself, and wakes who waits.
    pub async fn send(
        &self,
        queue: &QueueName,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Result<Sent, SendError>>, QueueError> {
        let (now, bells, name) = (self.clock.now(), self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            let mut results = Vec::with_capacity(drafts.len());
            for draft in drafts {
                results.push(match check(&row.settings, draft) {
                    Ok(draft) => Ok(store::send(tx, &row, &draft, now)?),
                    Err(error) => Err(error),
                });
            }
            // Rung before the commit: a woken receiver's look queues up behind this transaction.
            bells.ring(&name);
            Ok(results)
        })
        .await
    }

    /// Hands out messages and hides them; waits for a first one as long as asked.
    ///
    /// May be dropped at any moment: then nothing was received.
    pub async fn receive(&self, queue: &QueueName, ask: Ask) -> Result<Vec<Message>, QueueError> {
        self.receive_as(queue, None, ask).await
    }

    /// The same, for a receiver that may have a name. One that is not enrolled is handed nothing.
    pub async fn receive_as(
        &self,
        queue: &QueueName,
        receiver: Option<&ReceiverName>,
        ask: Ask,
    ) -> Result<Vec<Message>, QueueError> {
        let began = Instant::now();
        let mut closed = self.closed.subscribe();
        let bell = self.bells.of(queue);
        loop {
            // Registered before the look: a send between the look and the wait must still wake us.
            let mut rung = pin!(bell.notified());
            rung.as_mut().enable();
            let claim = self.claim(queue, receiver, ask).await?;
            let wait = ask.wait.unwrap_or(Duration::from_secs(claim.queue_wait_seconds.into()));
            let deadline = began + wait.min(Duration::from_millis(LONG_POLL_MAX_MS));
            if !claim.messages.is_empty() || Instant::now() >= deadline || *closed.borrow() {
                return Ok(claim.messages);
            }
            // A hidden or delayed message that comes into sight is one more thing to wake for.
            let sight = match claim.next_visible {
                None => deadline,
                Some(at) => {
                    let away = (at.as_millis() - self.clock.now().as_millis()).max(1);
                    Instant::now() + Duration::from_millis(away.unsigned_abs())
                }
            };
            tokio::select! {
                () = &mut rung => {}
                () = tokio::time::sleep_until(sight.min(deadline)) => {}
                _ = closed.changed() => {}
            }
        }
    }

    async fn claim(
        &self,
        queue: &QueueName,
        receiver: Option<&ReceiverName>,
        ask: Ask,
    ) -> Result<store::Claim, QueueError> {
        let nonce = receipt::new_nonce();
        let (now, bells, roll) = (self.clock.now(), self.bells.clone(), self.roll.clone());
        let terms = store::Terms {
            max: ask.max,
            visibility_seconds: ask.visibility_seconds,
            nonce: nonce.clone(),
            receiver: receiver.cloned(),
            now,
        };
        let mut undo = Undo { queues: self, queue, nonce: Some(nonce) };
        let claim = self
            .at(queue, move |tx, row| {
                if terms.receiver.as_ref().is_some_and(|receiver| !roll.has(&row.name, receiver)) {
                    return Ok(store::Claim::nothing(&row));
                }
                let claim = store::claim(tx, &row, &terms)?;
                if !claim.messages.is_empty() {
                    bells.changed(&row.name);
                }
                for target in &claim.given_up_to {
                    bells.ring(target);
                }
                Ok(claim)
            })
            .await;
        undo.nonce = None;
        claim
    }

    /// Deletes messages. Deleting one that is deleted already is success.
    pub async fn delete_messages(
        &self,
        queue: &QueueName,
        receipts: Vec<String>,
    ) -> Result<Vec<Result<(), BadReceipt>>, QueueError> {
        let (bells, name) = (self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            let mut results = Vec::with_capacity(receipts.len());
            for given in receipts {
                results.push(match receipt_of(&row, &given) {
                    Ok(receipt) => {
                        store::delete_message(tx, &receipt)?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                });
            }
            if row.settings.fifo {
                // The group's next message may be handed out now.
                bells.ring(&name);
            } else {
                bells.changed(&name);
            }
            Ok(results)
        })
        .await
    }

    /// Hides each message for so many seconds from now; zero hands it back at once.
    pub async fn change_visibility(
        &self,
        queue: &QueueName,
        changes: Vec<(String, u32)>,
    ) -> Result<Vec<Result<(), VisibilityError>>, QueueError> {
        let (now, bells, name) = (self.clock.now(), self.bells.clone(), queue.clone());
        self.at(queue, move |tx, row| {
            let mut results = Vec::with_capacity(changes.len());
            for (given, seconds) in changes {
                results.push(match receipt_of(&row, &given) {
                    Ok(receipt) => store::change_visibility(tx, &receipt, seconds, now)?,
                    Err(error) => Err(error.into()),
                });
            }
            // Who waits has a timer for the old moment.
            bells.ring(&name);
            Ok(results)
        })
        .await
    }

    /// Runs `work` on an existing queue, in a transaction.
    async fn at<T: Send + 'static>(
        &self,
        queue: &QueueName,
        work: impl FnOnce(&rusqlite::Connection, store::Row) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let queue = queue.clone();
        self.db
            .write(move |tx| match store::find(tx, &queue)? {
                Some(row) => work(tx, row),
                None => Err(QueueError::NoSuchQueue(queue)),
            })
            .await
    }
}

/// Hands back what was claimed for somebody who did not wait for the answer.
struct Undo<'q> {
    queues: &'q Queues,
    queue: &'q QueueName,
    nonce: Option<String>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(nonce) = self.nonce.take() else { return };
        let (now, bells) = (self.queues.clock.now(), self.queues.bells.clone());
        let queue = self.queue.clone();
        // The first poll puts the work in the writer's line, behind the claim that it undoes; nobody waits for it.
        let undone = self.queues.at(self.queue, move |tx, _| {
            store::undo_claim(tx, &nonce, now)?;
            bells.ring(&queue);
            Ok(())
        });
        drop(undone.now_or_never());
    }
}

fn receipt_of(row: &store::Row, given: &str) -> Result<Receipt, BadReceipt> {
    Receipt::parse(given)
        .ok()
        .filter(|receipt| receipt.queue == row.id)
        .ok_or_else(|| BadReceipt { given: given.to_owned() })
}

fn check(settings: &Settings, mut draft: Draft) -> Result<Draft, SendError> {
    let size_bytes = draft.size_bytes();
    if size_bytes > usize::try_from(settings.max_bytes).unwrap_or(usize::MAX) {
        return Err(SendError::TooLarge { size_bytes, max_bytes: settings.max_bytes });
    }
    if !settings.fifo {
        return Ok(draft);
    }
    if draft.group.is_none() {
        return Err(SendError::NoGroup);
    }
    if draft.delay_seconds.is_some_and(|seconds| seconds > 0) {
        return Err(SendError::DelayOnFifo);
    }
    if draft.deduplication.is_none() {
        if !settings.deduplicates_by_content {
            return Err(SendError::NoDeduplication);
        }
        draft.deduplication = Some(store::content_digest(&draft.body));
    }
    Ok(draft)
}

impl Draft {
    /// What counts towards a queue's limit: the body, and names, kinds and values of attributes.
    pub fn size_bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, attribute)| {
            let value = match &attribute.value {
                AttributeValue::Text(text) => text.len(),
                AttributeValue::Binary(bytes) => bytes.len(),
            };
            name.len() + attribute.kind.len() + value
        });
        self.body.len() + attributes.sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
