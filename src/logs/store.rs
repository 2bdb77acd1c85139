//! The tables of log groups, streams and events.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Direction, Draft, Event, Group, GroupClass, Position, Span, Stream};
use crate::clock::Timestamp;
use crate::db::Schema;
use crate::id::{LogGroupName, LogStreamName};
use crate::limits::LOG_EVENT_OVERHEAD_BYTES;

/// Both indexes end in the event's number, which is the row's own key.
pub(super) const SCHEMA: Schema = Schema {
    room: "logs",
    steps: &["CREATE TABLE log_groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        -- NULL: for ever.
        retention_days INTEGER,
        kms_key TEXT,
        class TEXT NOT NULL,
        tags TEXT NOT NULL,
        stored_bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE log_streams (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        log_group INTEGER NOT NULL REFERENCES log_groups ON DELETE CASCADE,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        first_ms INTEGER,
        last_ms INTEGER,
        ingested_ms INTEGER,
        UNIQUE (log_group, name)
    ) STRICT;
    CREATE TABLE log_events (
        -- Counts up over all streams and is never used again, so that a follower misses nothing.
        number INTEGER PRIMARY KEY,
        log_group INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        ingested_ms INTEGER NOT NULL,
        message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX log_events_of_stream ON log_events (stream, at_ms);
    CREATE INDEX log_events_of_group ON log_events (log_group, at_ms);
    CREATE TABLE log_numbers (next INTEGER NOT NULL) STRICT;
    INSERT INTO log_numbers VALUES (1)"],
};

/// A group as it is kept.
#[derive(Debug)]
pub(super) struct GroupRow {
    pub(super) id: i64,
    pub(super) group: Group,
}

/// Which names to list.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) prefix: &'a str,
    /// Anywhere in the name.
    pub(super) part: &'a str,
    pub(super) after: &'a str,
    pub(super) limit: u32,
}

/// Which events to read, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) source: Source,
    pub(super) span: Span,
    pub(super) direction: Direction,
    pub(super) from: Position,
}

/// Whose events to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Stream(i64),
    Group(i64),
}

/// What an event takes up.
pub(super) fn size_of(message: &str) -> usize {
    message.len() + LOG_EVENT_OVERHEAD_BYTES
}

fn group_of(row: &Row<'_>) -> rusqlite::Result<GroupRow> {
    let tags: String = row.get(6)?;
    let class: String = row.get(5)?;
    let name: String = row.get(1)?;
    Ok(GroupRow {
        id: row.get(0)?,
        group: Group {
            name: LogGroupName::parse(name).expect("only group names were recorded"),
            created: Timestamp::from_millis(row.get(2)?),
            retention_days: row.get(3)?,
            kms_key: row.get(4)?,
            class: GroupClass(class),
            tags: serde_json::from_str(&tags).unwrap_or_default(),
            stored_bytes: row.get::<_, i64>(7)?.max(0).cast_unsigned(),
        },
    })
}

const GROUP_COLUMNS: &str =
    "id, name, created_ms, retention_days, kms_key, class, tags, stored_bytes";

pub(super) fn group(
    connection: &Connection,
    name: &LogGroupName,
) -> rusqlite::Result<Option<GroupRow>> {
    connection
        .prepare_cached(&format!("SELECT {GROUP_COLUMNS} FROM log_groups WHERE name = ?1"))?
        .query_row([name.as_str()], group_of)
        .optional()
}

pub(super) fn groups(
    connection: &Connection,
    names: &Names<'_>,
) -> rusqlite::Result<Vec<GroupRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {GROUP_COLUMNS} FROM log_groups
             WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2 AND instr(name, ?3)
             ORDER BY name LIMIT ?4"
        ))?
        .query_map((names.after, names.prefix, names.part, names.limit), group_of)?
        .collect()
}

pub(super) fn insert_group(tx: &Connection, group: &Group) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO log_groups (name, created_ms, retention_days, kms_key, class, tags)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        group.name.as_str(),
        group.created.as_millis(),
        group.retention_days,
        group.kms_key,
        group.class.0,
        written(&group.tags),
    ])?;
    Ok(())
}

fn written(tags: &BTreeMap<String, String>) -> String {
    serde_json::to_string(tags).expect("tags are plain data")
}

pub(super) fn update_group(tx: &Connection, row: &GroupRow) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE log_groups SET retention_days = ?2, tags = ?3 WHERE id = ?1")?
        .execute((row.id, row.group.retention_days, written(&row.group.tags)))?;
    Ok(())
}

pub(super) fn remove_group(tx: &Connection, group: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM log_events WHERE log_group = ?1")?.execute([group])?;
    tx.prepare_cached("DELETE FROM log_groups WHERE id = ?1")?.execute([group])?;
    Ok(())
}

pub(super) fn stream(
    connection: &Connection,
    group: i64,
    name: &LogStreamName,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM log_streams WHERE log_group = ?1 AND name = ?2")?
        .query_row((group, name.as_str()), |row| row.get(0))
        .optional()
}

fn stream_name(text: String) -> LogStreamName {
    LogStreamName::parse(text).expect("only stream names were recorded")
}

fn stream_of(row: &Row<'_>) -> rusqlite::Result<Stream> {
    let moment = |column| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
    };
    Ok(Stream {
        name: stream_name(row.get(0)?),
        created: Timestamp::from_millis(row.get(1)?),
        first_event: moment(2)?,
        last_event: moment(3)?,
        last_ingestion: moment(4)?,
    })
}

/// By name.
pub(super) fn streams(
    connection: &Connection,
    group: i64,
    names: &Names<'_>,
    direction: Direction,
) -> rusqlite::Result<Vec<Stream>> {
    let (beyond, order) = match direction {
        Direction::Forward => ("name > ?2", "ASC"),
        Direction::Backward => ("(?2 = '' OR name < ?2)", "DESC"),
    };
    connection
        .prepare_cached(&format!(
            "SELECT name, created_ms, first_ms, last_ms, ingested_ms FROM log_streams
             WHERE log_group = ?1 AND {beyond} AND substr(name, 1, length(?3)) = ?3
             ORDER BY name {order} LIMIT ?4"
        ))?
        .query_map((group, names.after, names.prefix, names.limit), stream_of)?
        .collect()
}

/// By the time of the last event; streams without any count as the oldest.
pub(super) fn streams_by_time(
    connection: &Connection,
    group: i64,
    after: Option<(i64, &str)>,
    (direction, limit): (Direction, u32),
) -> rusqlite::Result<Vec<Stream>> {
    let (beyond, order) = match direction {
        Direction::Forward => (">", "ASC"),
        Direction::Backward => ("<", "DESC"),
    };
    let (at, name) = after.unwrap_or_default();
    connection
        .prepare_cached(&format!(
            "SELECT name, created_ms, first_ms, last_ms, ingested_ms FROM log_streams
             WHERE log_group = ?1 AND (?2 OR (coalesce(last_ms, -1), name) {beyond} (?3, ?4))
             ORDER BY coalesce(last_ms, -1) {order}, name {order} LIMIT ?5"
        ))?
        .query_map((group, after.is_none(), at, name, limit), stream_of)?
        .collect()
}

pub(super) fn insert_stream(
    tx: &Connection,
    group: i64,
    name: &LogStreamName,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    tx.prepare_cached("INSERT INTO log_streams (log_group, name, created_ms) VALUES (?1, ?2, ?3)")?
        .execute((group, name.as_str(), now.as_millis()))?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn remove_stream(tx: &Connection, group: i64, stream: i64) -> rusqlite::Result<()> {
    let bytes: i64 = tx
        .prepare_cached(
            "SELECT coalesce(sum(octet_length(message) + ?2), 0) FROM log_events WHERE stream = ?1",
        )?
        .query_row((stream, overhead()), |row| row.get(0))?;
    tx.prepare_cached("DELETE FROM log_events WHERE stream = ?1")?.execute([stream])?;
    tx.prepare_cached("DELETE FROM log_streams WHERE id = ?1")?.execute([stream])?;
    grow(tx, group, -bytes)
}

fn overhead() -> i64 {
    i64::try_from(LOG_EVENT_OVERHEAD_BYTES).expect("a small number")
}

fn grow(tx: &Connection, group: i64, bytes: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE log_groups SET stored_bytes = stored_bytes + ?2 WHERE id = ?1")?
        .execute((group, bytes))?;
    Ok(())
}

/// Adds events, in their order. Gives the number of the last one.
pub(super) fn append(
    tx: &Connection,
    (group, stream): (i64, i64),
    events: &[Draft],
    now: Timestamp,
) -> rusqlite::Result<i64> {
    let first: i64 = tx
        .prepare_cached("UPDATE log_numbers SET next = next + ?1 RETURNING next - ?1")?
        .query_row([i64::try_from(events.len()).unwrap_or(i64::MAX)], |row| row.get(0))?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO log_events (number, log_group, stream, at_ms, ingested_ms, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (mut bytes, mut number) = (0, first - 1);
    for event in events {
        number += 1;
        bytes += size_of(&event.message);
        let at = event.at.as_millis();
        insert.execute((number, group, stream, at, now.as_millis(), &event.message))?;
    }
    grow(tx, group, i64::try_from(bytes).unwrap_or(i64::MAX))?;
    let oldest = events.iter().map(|event| event.at.as_millis()).min();
    let newest = events.iter().map(|event| event.at.as_millis()).max();
    tx.prepare_cached(
        "UPDATE log_streams SET ingested_ms = ?2,
            first_ms = min(coalesce(first_ms, ?3), ?3), last_ms = max(coalesce(last_ms, ?4), ?4)
         WHERE id = ?1",
    )?
    .execute((stream, now.as_millis(), oldest, newest))?;
    Ok(number)
}

/// Removes the oldest events of the largest group while all together are over `max_bytes`, `max_events` of them at most:
/// a group that talks all day does not push out those that seldom do.
pub(super) fn trim(tx: &Connection, max_bytes: u64, max_events: usize) -> rusqlite::Result<()> {
    let held: i64 = tx
        .prepare_cached("SELECT coalesce(sum(stored_bytes), 0) FROM log_groups")?
        .query_row([], |row| row.get(0))?;
    let mut over = held - i64::try_from(max_bytes).unwrap_or(i64::MAX);
    if over <= 0 {
        return Ok(());
    }
    let largest: i64 = tx
        .prepare_cached("SELECT id FROM log_groups ORDER BY stored_bytes DESC LIMIT 1")?
        .query_row([], |row| row.get(0))?;
    // By the events' times, as the index has them: by arrival, every older event of other groups would be walked past.
    let mut oldest = tx.prepare_cached(
        "SELECT number, octet_length(message) FROM log_events WHERE log_group = ?1
         ORDER BY at_ms, number LIMIT ?2",
    )?;
    let mut rows = oldest.query((largest, i64::try_from(max_events).unwrap_or(i64::MAX)))?;
    let (mut freed, mut numbers) = (0, Vec::new());
    while let Some(row) = rows.next()?
        && over > 0
    {
        let bytes = row.get::<_, i64>(1)? + overhead();
        freed += bytes;
        over -= bytes;
        numbers.push(row.get::<_, i64>(0)?);
    }
    drop(rows);
    let mut remove = tx.prepare_cached("DELETE FROM log_events WHERE number = ?1")?;
    for number in numbers {
        remove.execute([number])?;
    }
    grow(tx, largest, -freed)
}

/// Removes events of the group from before `oldest`, `max_events` of them at most. Says whether there may be more.
pub(super) fn expire(
    tx: &Connection,
    group: i64,
    oldest: Timestamp,
    max_events: u32,
) -> rusqlite::Result<bool> {
    let mut removed = tx.prepare_cached(
        "DELETE FROM log_events WHERE number IN
            (SELECT number FROM log_events WHERE log_group = ?1 AND at_ms < ?2 ORDER BY at_ms LIMIT ?3)
         RETURNING octet_length(message)",
    )?;
    let sizes: Vec<i64> = removed
        .query_map((group, oldest.as_millis(), max_events), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    grow(tx, group, -sizes.iter().map(|size| size + overhead()).sum::<i64>())?;
    Ok(sizes.len() >= max_events as usize)
}

/// Hands the events of a range to `see`, in its direction, until it has had enough. Gives whether it came to the end
/// of them.
pub(super) fn each(
    connection: &Connection,
    range: Range,
    mut see: impl FnMut(Seen<'_>) -> bool,
) -> rusqlite::Result<bool> {
    let Range { source, span, direction, from } = range;
    let (column, id) = match source {
        Source::Stream(id) => ("e.stream", id),
        Source::Group(id) => ("e.log_group", id),
    };
    let (first, last, beyond, order) = match direction {
        Direction::Forward => (span.first_ms.max(from.at_ms), span.last_ms, ">", "ASC"),
        Direction::Backward => (span.first_ms, span.last_ms.min(from.at_ms), "<", "DESC"),
    };
    // The range of times is what the index understands; the pair decides among equal times.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT e.number, e.at_ms, e.ingested_ms, e.message, e.stream FROM log_events e
         WHERE {column} = ?1 AND e.at_ms BETWEEN ?2 AND ?3
           AND (e.at_ms {beyond} ?4 OR (e.at_ms = ?4 AND e.number {beyond} ?5))
         ORDER BY e.at_ms {order}, e.number {order}"
    ))?;
    let mut rows = statement.query((id, first, last, from.at_ms, from.number))?;
    while let Some(row) = rows.next()? {
        if !see(seen(row)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A row under the reader's eyes.
#[derive(Debug)]
pub(super) struct Seen<'r> {
    pub(super) position: Position,
    pub(super) ingested_ms: i64,
    pub(super) message: &'r str,
    pub(super) stream: i64,
}

fn seen<'r>(row: &'r Row<'_>) -> rusqlite::Result<Seen<'r>> {
    Ok(Seen {
        position: Position { at_ms: row.get(1)?, number: row.get(0)? },
        ingested_ms: row.get(2)?,
        message: row.get_ref(3)?.as_str()?,
        stream: row.get(4)?,
    })
}

impl Seen<'_> {
    pub(super) fn to_event(&self, stream: LogStreamName) -> Event {
        Event {
            position: self.position,
            ingested: Timestamp::from_millis(self.ingested_ms),
            message: self.message.to_owned(),
            stream,
        }
    }
}

pub(super) fn name_of_stream(
    connection: &Connection,
    stream: i64,
) -> rusqlite::Result<Option<LogStreamName>> {
    connection
        .prepare_cached("SELECT name FROM log_streams WHERE id = ?1")?
        .query_row([stream], |row| row.get(0).map(stream_name))
        .optional()
}

/// Streams of the group whose names begin with `prefix`.
pub(super) fn streams_with(
    connection: &Connection,
    group: i64,
    prefix: &str,
) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM log_streams WHERE log_group = ?1 AND substr(name, 1, length(?2)) = ?2",
        )?
        .query_map((group, prefix), |row| row.get(0))?
        .collect()
}

/// Hands arrivals numbered above `after` to `see`, in order of arrival, until it has had enough.
pub(super) fn arrivals(
    connection: &Connection,
    after: i64,
    mut see: impl FnMut(i64, Seen<'_>) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT number, at_ms, ingested_ms, message, stream, log_group FROM log_events
         WHERE number > ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        if !see(row.get(5)?, seen(row)?) {
            break;
        }
    }
    Ok(())
}

/// The number of the newest arrival there ever was.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT next - 1 FROM log_numbers")?.query_row([], |row| row.get(0))
}
