//! The tables of queues and messages.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::receipt::Receipt;
use super::settings::Settings;
use super::{Attribute, Depth, Draft, Message, Sent, VisibilityError};
use crate::clock::Timestamp;
use crate::db::Schema;
use crate::id::{QueueName, ReceiverName};
use crate::limits::{DEDUPLICATION_MS, VISIBILITY_MAX_SECONDS};

pub(super) const SCHEMA: Schema = Schema {
    room: "queues",
    steps: &[
        "CREATE TABLE queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        settings TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE queue_tags (
        queue INTEGER NOT NULL REFERENCES queues ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (queue, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        queue INTEGER NOT NULL REFERENCES queues ON DELETE CASCADE,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        sender TEXT NOT NULL,
        trace TEXT,
        message_group TEXT,
        deduplication TEXT,
        dead_letter_source TEXT,
        sent_ms INTEGER NOT NULL,
        -- Nobody is handed the message before this moment.
        visible_ms INTEGER NOT NULL,
        -- Whether a receive is what hides it, and not a delay.
        held INTEGER NOT NULL DEFAULT 0,
        receives INTEGER NOT NULL DEFAULT 0,
        first_received_ms INTEGER,
        received_ms INTEGER,
        -- The latest receive's. Older receipts are worth nothing.
        nonce TEXT
    ) STRICT;
    CREATE INDEX messages_in_order ON messages (queue, seq);
    CREATE INDEX messages_by_sight ON messages (queue, visible_ms);
    CREATE INDEX messages_by_age ON messages (queue, sent_ms);
    CREATE INDEX messages_held_by_group ON messages (queue, message_group, visible_ms)
        WHERE held = 1 AND message_group IS NOT NULL;
    CREATE INDEX messages_by_nonce ON messages (nonce) WHERE nonce IS NOT NULL;
    CREATE TABLE deduplications (
        queue INTEGER NOT NULL REFERENCES queues ON DELETE CASCADE,
        deduplication TEXT NOT NULL,
        id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (queue, deduplication)
    ) STRICT, WITHOUT ROWID",
        // Who was handed the message last, where that one has a name.
        "ALTER TABLE messages ADD COLUMN receiver TEXT;
    CREATE INDEX messages_by_receiver ON messages (queue, receiver)
        WHERE held = 1 AND receiver IS NOT NULL",
    ],
};

/// A queue as it is kept.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) name: QueueName,
    pub(super) settings: Settings,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

/// The terms of a receive.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) max: u32,
    pub(super) visibility_seconds: Option<u32>,
    pub(super) nonce: String,
    pub(super) receiver: Option<ReceiverName>,
    pub(super) now: Timestamp,
}

/// What a look for messages came to.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) messages: Vec<Message>,
    /// When the next message comes into sight, if none was.
    pub(super) next_visible: Option<Timestamp>,
    pub(super) queue_wait_seconds: u32,
    /// Queues that were given messages of this one.
    pub(super) given_up_to: Vec<QueueName>,
}

impl Claim {
    /// For who is not to be given anything.
    pub(super) fn nothing(row: &Row) -> Claim {
        Claim {
            messages: Vec::new(),
            next_visible: None,
            queue_wait_seconds: row.settings.wait_seconds,
            given_up_to: Vec::new(),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("settings and attributes are plain data")
}

fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

fn queue_name(text: String) -> QueueName {
    QueueName::parse(text).expect("only queue names were recorded")
}

fn after(now: Timestamp, seconds: u32) -> i64 {
    now.plus_millis(i64::from(seconds) * 1000).as_millis()
}

pub(super) fn find(connection: &Connection, queue: &QueueName) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached("SELECT id, settings, created_ms, modified_ms FROM queues WHERE name = ?1")?
        .query_row([queue.as_str()], |row| {
            Ok(Row {
                id: row.get(0)?,
                name: queue.clone(),
                settings: from_json(1, row.get_ref(1)?.as_str()?)?,
                created: Timestamp::from_millis(row.get(2)?),
                modified: Timestamp::from_millis(row.get(3)?),
            })
        })
        .optional()
}

pub(super) fn insert(
    tx: &Connection,
    queue: &QueueName,
    settings: &Settings,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    tx.prepare_cached(
        "INSERT INTO queues (name, settings, created_ms, modified_ms) VALUES (?1, ?2, ?3, ?3)",
    )?
    .execute((queue.as_str(), json(settings), now.as_millis()))?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn update(
    tx: &Connection,
    queue: i64,
    settings: &Settings,
    now: Timestamp,
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE queues SET settings = ?2, modified_ms = ?3 WHERE id = ?1")?
        .execute((queue, json(settings), now.as_millis()))?;
    Ok(())
}

pub(super) fn remove(tx: &Connection, queue: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM queues WHERE id = ?1")?.execute([queue])?;
    Ok(())
}

pub(super) fn purge(tx: &Connection, queue: i64) -> rusqlite::Result<u64> {
    let gone = tx.prepare_cached("DELETE FROM messages WHERE queue = ?1")?.execute([queue])?;
    Ok(gone as u64)
}

pub(super) fn release_held(tx: &Connection, queue: i64, now: Timestamp) -> rusqlite::Result<u64> {
    let released = tx
        .prepare_cached(
            "UPDATE messages SET visible_ms = ?2, held = 0
             WHERE queue = ?1 AND held = 1 AND visible_ms > ?2",
        )?
        .execute((queue, now.as_millis()))?;
    Ok(released as u64)
}

/// Makes visible at once what this receiver holds.
pub(super) fn release_held_by(
    tx: &Connection,
    queue: i64,
    receiver: &ReceiverName,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let released = tx
        .prepare_cached(
            "UPDATE messages SET visible_ms = ?3, held = 0
             WHERE queue = ?1 AND receiver = ?2 AND held = 1 AND visible_ms > ?3",
        )?
        .execute((queue, receiver.as_str(), now.as_millis()))?;
    Ok(released as u64)
}

/// Messages in flight by the name of their receiver.
pub(super) fn held(
    connection: &Connection,
    row: &Row,
    now: Timestamp,
) -> rusqlite::Result<BTreeMap<ReceiverName, u64>> {
    connection
        .prepare_cached(
            "SELECT receiver, count(*) FROM messages
             WHERE queue = ?1 AND held = 1 AND receiver IS NOT NULL AND visible_ms > ?2
                 AND sent_ms > ?3
             GROUP BY receiver",
        )?
        .query_map((row.id, now.as_millis(), oldest(row, now)), |found| {
            let name = ReceiverName::parse(found.get::<_, String>(0)?)
                .expect("only receivers' names were recorded");
            Ok((name, found.get::<_, i64>(1)?.cast_unsigned()))
        })?
        .collect()
}

pub(super) fn depth(connection: &Connection, row: &Row, now: Timestamp) -> rusqlite::Result<Depth> {
    connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE visible_ms <= ?2),
                    count(*) FILTER (WHERE visible_ms > ?2 AND held = 1),
                    count(*) FILTER (WHERE visible_ms > ?2 AND held = 0)
             FROM messages WHERE queue = ?1 AND sent_ms > ?3",
        )?
        .query_row((row.id, now.as_millis(), oldest(row, now)), |counts| {
            let count = |column: usize| counts.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Depth { visible: count(0)?, in_flight: count(1)?, delayed: count(2)? })
        })
}

/// When the oldest message was sent that could be received now.
pub(super) fn oldest_visible(
    connection: &Connection,
    row: &Row,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(
            "SELECT min(sent_ms) FROM messages
             WHERE queue = ?1 AND visible_ms <= ?2 AND sent_ms > ?3",
        )?
        .query_row((row.id, now.as_millis(), oldest(row, now)), |found| {
            Ok(found.get::<_, Option<i64>>(0)?.map(Timestamp::from_millis))
        })
}

pub(super) fn names(
    connection: &Connection,
    prefix: &str,
    after: Option<&QueueName>,
    limit: u32,
) -> rusqlite::Result<Vec<QueueName>> {
    connection
        .prepare_cached(
            "SELECT name FROM queues WHERE name > ?2 AND substr(name, 1, length(?1)) = ?1
             ORDER BY name LIMIT ?3",
        )?
        .query_map((prefix, after.map_or("", QueueName::as_str), limit), |row| {
            row.get(0).map(queue_name)
        })?
        .collect()
}

pub(super) fn sources_of(
    connection: &Connection,
    target: &QueueName,
) -> rusqlite::Result<Vec<QueueName>> {
    connection
        .prepare_cached(
            "SELECT name FROM queues WHERE settings ->> '$.redrive.target' = ?1 ORDER BY name",
        )?
        .query_map([target.as_str()], |row| row.get(0).map(queue_name))?
        .collect()
}

pub(super) fn tags(tx: &Connection, queue: i64) -> rusqlite::Result<BTreeMap<String, String>> {
    tx.prepare_cached("SELECT key, value FROM queue_tags WHERE queue = ?1")?
        .query_map([queue], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn tag(
    tx: &Connection,
    queue: i64,
    tags: &BTreeMap<String, String>,
) -> rusqlite::Result<()> {
    for (key, value) in tags {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO queue_tags (queue, key, value) VALUES (?1, ?2, ?3)",
        )?
        .execute((queue, key, value))?;
    }
    Ok(())
}

pub(super) fn untag(tx: &Connection, queue: i64, keys: &[String]) -> rusqlite::Result<()> {
    for key in keys {
        tx.prepare_cached("DELETE FROM queue_tags WHERE queue = ?1 AND key = ?2")?
            .execute((queue, key))?;
    }
    Ok(())
}

/// The id of a FIFO message that brings none: the SHA-256 of its body.
pub(super) fn content_digest(body: &str) -> String {
    hex::encode(Sha256::digest(body))
}

pub(super) fn send(
    tx: &Connection,
    row: &Row,
    draft: &Draft,
    now: Timestamp,
) -> rusqlite::Result<Sent> {
    let deduplication = draft.deduplication.as_deref().filter(|_| row.settings.fifo);
    if let Some(deduplication) = deduplication
        && let Some(earlier) = earlier(tx, row, deduplication, now)?
    {
        return Ok(earlier);
    }
    let id = uuid::Uuid::new_v4().to_string();
    let delay = draft.delay_seconds.unwrap_or(row.settings.delay_seconds);
    tx.prepare_cached(
        "INSERT INTO messages (queue, id, body, attributes, sender, trace, message_group,
            deduplication, sent_ms, visible_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        row.id,
        id,
        draft.body,
        json(&draft.attributes),
        draft.sender,
        draft.trace,
        draft.group,
        draft.deduplication,
        now.as_millis(),
        after(now, delay),
    ])?;
    let seq = tx.last_insert_rowid();
    if let Some(deduplication) = deduplication {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO deduplications (queue, deduplication, id, seq, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((row.id, deduplication, &id, seq, now.as_millis()))?;
    }
    Ok(Sent { id, sequence: row.settings.fifo.then_some(seq) })
}

fn earlier(
    tx: &Connection,
    row: &Row,
    deduplication: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Sent>> {
    tx.prepare_cached("DELETE FROM deduplications WHERE queue = ?1 AND at_ms <= ?2")?
        .execute((row.id, now.as_millis() - DEDUPLICATION_MS))?;
    tx.prepare_cached("SELECT id, seq FROM deduplications WHERE queue = ?1 AND deduplication = ?2")?
        .query_row((row.id, deduplication), |found| {
            Ok(Sent { id: found.get(0)?, sequence: Some(found.get(1)?) })
        })
        .optional()
}

/// Messages sent at or before this moment are too old.
fn oldest(row: &Row, now: Timestamp) -> i64 {
    now.as_millis() - i64::from(row.settings.retention_seconds) * 1000
}

pub(super) fn claim(tx: &Connection, row: &Row, terms: &Terms) -> rusqlite::Result<Claim> {
    tx.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND sent_ms <= ?2")?
        .execute((row.id, oldest(row, terms.now)))?;
    let mut claim = Claim::nothing(row);
    give_up(tx, row, terms, &mut claim)?;
    let visibility = terms.visibility_seconds.unwrap_or(row.settings.visibility_seconds);
    for seq in visible(tx, row, terms)? {
        claim.messages.push(hand_out(tx, row, terms, (seq, visibility))?);
    }
    if claim.messages.is_empty() {
        claim.next_visible = tx
            .prepare_cached(
                "SELECT min(visible_ms) FROM messages WHERE queue = ?1 AND visible_ms > ?2",
            )?
            .query_row((row.id, terms.now.as_millis()), |found| found.get::<_, Option<i64>>(0))?
            .map(Timestamp::from_millis);
    }
    Ok(claim)
}

/// Moves to the dead-letter queue what was received often enough. Happens only when somebody asks.
fn give_up(tx: &Connection, row: &Row, terms: &Terms, claim: &mut Claim) -> rusqlite::Result<()> {
    let Some(redrive) = &row.settings.redrive else { return Ok(()) };
    let Some(target) = find(tx, &redrive.target)?.filter(|target| target.id != row.id) else {
        return Ok(());
    };
    // AWS: the receive count goes on "across all queues", and the age too.
    let moved = tx
        .prepare_cached(
            "UPDATE messages SET queue = ?3, held = 0, nonce = NULL, dead_letter_source = ?4
             WHERE queue = ?1 AND visible_ms <= ?2 AND receives >= ?5",
        )?
        .execute((
            row.id,
            terms.now.as_millis(),
            target.id,
            row.name.as_str(),
            redrive.max_receives,
        ))?;
    if moved > 0 {
        claim.given_up_to.push(target.name);
    }
    Ok(())
}

fn visible(tx: &Connection, row: &Row, terms: &Terms) -> rusqlite::Result<Vec<i64>> {
    // In the order of sending: the index is named, because the planner would rather sort.
    let sql = if row.settings.fifo {
        "SELECT seq FROM messages INDEXED BY messages_in_order
         WHERE queue = ?1 AND visible_ms <= ?2 AND NOT EXISTS (
             SELECT 1 FROM messages other
             WHERE other.queue = ?1 AND other.message_group = messages.message_group
                 AND other.held = 1 AND other.visible_ms > ?2)
         ORDER BY seq LIMIT ?3"
    } else {
        "SELECT seq FROM messages INDEXED BY messages_in_order
         WHERE queue = ?1 AND visible_ms <= ?2 ORDER BY seq LIMIT ?3"
    };
    tx.prepare_cached(sql)?
        .query_map((row.id, terms.now.as_millis(), terms.max), |found| found.get(0))?
        .collect()
}

fn hand_out(
    tx: &Connection,
    row: &Row,
    terms: &Terms,
    (seq, visibility): (i64, u32),
) -> rusqlite::Result<Message> {
    tx.prepare_cached(
        "UPDATE messages SET visible_ms = ?2, held = 1, receives = receives + 1, nonce = ?3,
            receiver = ?5, received_ms = ?4, first_received_ms = coalesce(first_received_ms, ?4)
         WHERE seq = ?1
         RETURNING id, body, attributes, sender, sent_ms, receives, first_received_ms,
            message_group, deduplication, trace, dead_letter_source",
    )?
    .query_row(
        (
            seq,
            after(terms.now, visibility),
            &terms.nonce,
            terms.now.as_millis(),
            terms.receiver.as_ref().map(ReceiverName::as_str),
        ),
        |found| {
            let attributes: BTreeMap<String, Attribute> =
                from_json(2, found.get_ref(2)?.as_str()?)?;
            Ok(Message {
                id: found.get(0)?,
                receipt: Receipt { queue: row.id, message: seq, nonce: terms.nonce.clone() },
                body: found.get(1)?,
                attributes,
                sender: found.get(3)?,
                sent: Timestamp::from_millis(found.get(4)?),
                receives: found.get(5)?,
                first_received: Timestamp::from_millis(found.get(6)?),
                group: found.get(7)?,
                deduplication: found.get(8)?,
                sequence: row.settings.fifo.then_some(seq),
                trace: found.get(9)?,
                dead_letter_source: found.get::<_, Option<String>>(10)?.map(queue_name),
            })
        },
    )
}

/// As if the receive with this nonce had not been.
pub(super) fn undo_claim(tx: &Connection, nonce: &str, now: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET visible_ms = ?2, held = 0, receives = receives - 1, nonce = NULL,
            first_received_ms = CASE WHEN receives > 1 THEN first_received_ms END
         WHERE nonce = ?1",
    )?
    .execute((nonce, now.as_millis()))?;
    Ok(())
}

/// AWS: on a standard queue, deleting with a superseded receipt succeeds and deletes nothing.
pub(super) fn delete_message(tx: &Connection, receipt: &Receipt) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM messages WHERE seq = ?1 AND queue = ?2 AND nonce = ?3")?
        .execute((receipt.message, receipt.queue, &receipt.nonce))?;
    Ok(())
}

pub(super) fn change_visibility(
    tx: &Connection,
    receipt: &Receipt,
    seconds: u32,
    now: Timestamp,
) -> rusqlite::Result<Result<(), VisibilityError>> {
    let found = tx
        .prepare_cached(
            "SELECT visible_ms, received_ms, held, nonce FROM messages
             WHERE seq = ?1 AND queue = ?2",
        )?
        .query_row((receipt.message, receipt.queue), |row| {
            let nonce: Option<String> = row.get(3)?;
            let in_flight = row.get::<_, i64>(0)? > now.as_millis()
                && row.get::<_, bool>(2)?
                && nonce.as_ref() == Some(&receipt.nonce);
            Ok((in_flight, row.get::<_, Option<i64>>(1)?))
        })
        .optional()?;
    let until = after(now, seconds);
    match found {
        None => return Ok(Err(VisibilityError::Deleted)),
        Some((false, _)) => return Ok(Err(VisibilityError::NotInFlight)),
        Some((true, received)) => {
            let longest = i64::from(VISIBILITY_MAX_SECONDS) * 1000;
            if received.is_some_and(|received| until - received > longest) {
                return Ok(Err(VisibilityError::TooLong));
            }
        }
    }
    tx.prepare_cached("UPDATE messages SET visible_ms = ?2, held = ?3 WHERE seq = ?1")?
        .execute((receipt.message, until, seconds > 0))?;
    Ok(Ok(()))
}
