//! Logs: groups, streams, ordered events.
//!
//! Promise: an event that was taken in is kept until it expires, its group or stream is deleted, or all logs together
//! are too large; then the oldest of the largest group go first. A reader who goes on from where it stopped misses nothing that
//! stands behind that place.
//! Not here: tokens and JSON (`api::cloudwatch_logs`); who writes lines (`environment`, Airflow itself).
//!
//! Events have a database file of their own, so that a flood of lines never stands in front of a message or an
//! object. What it may cost: the journal hears of new lines a moment after they are there, and never before.
//!
//! Readers see a stream by the events' own times, then by arrival; a follower who wants every line, late ones too,
//! reads [`Logs::arrivals`], by arrival alone.

pub mod pattern;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::Durability;
use crate::db::{self, Db};
use crate::id::{LogGroupName, LogStreamName};
use crate::limits::{
    LOG_AHEAD_MAX_MS, LOG_BATCH_MAX_BYTES, LOG_BATCH_SPAN_MAX_MS, LOG_BEHIND_MAX_MS,
    LOG_SCAN_BYTES, LOG_SCAN_EVENTS, LOG_SCANS_MAX, LOG_SWEEP_EVENTS, LOG_SWEEP_SECONDS,
    LOGS_ANNOUNCED_EVERY_MS, LOGS_MAX_BYTES,
};
use pattern::Pattern;

/// All logs of one windtunnel. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Logs {
    db: Db,
    /// The journal that everybody reads.
    journal: Db,
    clock: Clock,
    max_bytes: u64,
    /// The number of the newest arrival.
    newest: watch::Sender<i64>,
    news: Arc<News>,
    closed: CancellationToken,
}

/// Streams that have new lines of which the journal has not heard.
#[derive(Debug, Default)]
struct News {
    streams: Mutex<BTreeMap<(LogGroupName, LogStreamName), i64>>,
    bell: Notify,
    /// Rung when events may have expired: a shorter retention.
    expiry: Notify,
}

/// What a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: LogGroupName,
    pub created: Timestamp,
    /// `None`: for ever.
    pub retention_days: Option<u32>,
    pub kms_key: Option<String>,
    pub class: GroupClass,
    pub tags: BTreeMap<String, String>,
    pub stored_bytes: u64,
}

/// A group's class, by AWS's word for it; it changes nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupClass(pub String);

/// Which groups to list.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// How they begin.
    pub prefix: String,
    /// What is anywhere in them.
    pub part: String,
    /// They come behind this one.
    pub after: String,
}

/// A group to create.
#[derive(Clone, Debug)]
pub struct NewGroup {
    pub name: LogGroupName,
    pub kms_key: Option<String>,
    pub class: GroupClass,
    pub tags: BTreeMap<String, String>,
}

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub name: LogStreamName,
    pub created: Timestamp,
    pub first_event: Option<Timestamp>,
    pub last_event: Option<Timestamp>,
    pub last_ingestion: Option<Timestamp>,
}

/// An event to take in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub at: Timestamp,
    pub message: String,
}

/// An event's place among all: readers see events by time, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub at_ms: i64,
    /// Counts arrivals over all streams.
    pub number: i64,
}

/// An event as a reader gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub position: Position,
    pub ingested: Timestamp,
    pub stream: LogStreamName,
    pub message: String,
}

/// Times of events, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first_ms: i64,
    pub last_ms: i64,
}

/// Which way a reader goes through events, or through names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// What was taken in, and what was not for its time. The indexes are those of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Every event before this is too old to be taken.
    pub too_old_before: Option<usize>,
    /// Every event before this is beyond the group's retention.
    pub expired_before: Option<usize>,
    /// Every event from here on is too far ahead.
    pub too_new_from: Option<usize>,
}

/// A page of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub span: Span,
    pub direction: Direction,
    /// The boundary that the last page ended at; `None`: from the very end that the direction comes from.
    pub from: Option<Position>,
    pub limit: u32,
}

/// Events in the order of their times, and the boundaries around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub events: Vec<Event>,
    /// Going forward from here shows what comes after.
    pub forward: Position,
    /// Going backward from here shows what came before.
    pub backward: Position,
}

/// Which streams of a group to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streams {
    All,
    Named(Vec<LogStreamName>),
    WithPrefix(String),
}

/// A search through a group.
#[derive(Clone, Debug)]
pub struct Search {
    pub streams: Streams,
    pub span: Span,
    pub pattern: Pattern,
    pub direction: Direction,
    /// Where the last page ended.
    pub from: Option<Position>,
    pub limit: u32,
}

/// A page of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub events: Vec<Event>,
    /// Where to go on; `None` at the end. There may be more although nothing was found.
    pub next: Option<Position>,
}

/// An event as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub group: LogGroupName,
    pub event: Event,
}

/// What a follower is told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    pub events: Vec<Arrival>,
    /// Ask for what comes after this next.
    pub last: i64,
}

/// How streams are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamOrder {
    /// After this name, of those that begin with the prefix.
    Name { prefix: String, after: String },
    /// By the last event, after this time and name.
    LastEvent { after: Option<(i64, String)> },
}

/// Why logs could not do it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log group `{0}` does not exist")]
    NoSuchGroup(LogGroupName),
    #[error("log stream `{0}` does not exist")]
    NoSuchStream(LogStreamName),
    #[error("the log index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why a group or stream was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("it exists")]
    Exists,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why no event of a request was taken in.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the events span more than a day")]
    Span,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log index failed")]
    Index(#[from] rusqlite::Error),
}

impl Position {
    /// Before every event.
    pub const START: Position = Position { at_ms: -1, number: 0 };
    /// Behind every event.
    pub const END: Position = Position { at_ms: i64::MAX, number: i64::MAX };

    fn just_behind(self) -> Position {
        Position { number: self.number.saturating_add(1), ..self }
    }

    fn just_before(self) -> Position {
        Position { number: self.number.saturating_sub(1), ..self }
    }
}

impl Span {
    /// All times.
    pub const ALL: Span = Span { first_ms: 0, last_ms: i64::MAX };

    fn since(self, first_ms: i64) -> Span {
        Span { first_ms: self.first_ms.max(first_ms), ..self }
    }
}

impl Logs {
    /// Opens or creates the log database at `path`; `journal` hears of new lines.
    pub async fn open(
        path: &Path,
        durability: Durability,
        clock: Clock,
        journal: Db,
    ) -> Result<Logs, db::OpenError> {
        let db = Db::open(path, durability, &[store::SCHEMA], clock.clone())?;
        let newest: rusqlite::Result<i64> = db.read(store::newest).await;
        let newest = watch::Sender::new(newest.unwrap_or_default());
        Ok(Logs {
            db,
            journal,
            clock,
            max_bytes: LOGS_MAX_BYTES,
            newest,
            news: Arc::default(),
            closed: CancellationToken::new(),
        })
    }

    /// The same, keeping `max_bytes` of events at most.
    pub fn with_max_bytes(self, max_bytes: u64) -> Logs {
        Logs { max_bytes, ..self }
    }

    /// Ends whatever follows new lines, now and from now on: for a clean shutdown.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Cancelled when followers had better go.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Tells the journal of new lines and removes what has expired, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.tell_news(&stop), self.expire_regularly(&stop));
    }

    async fn tell_news(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.news.bell.notified() => {}
            }
            let news = std::mem::take(&mut *self.news());
            let told = self.journal.write(move |tx| {
                for ((group, stream), last) in news {
                    tx.announce(db::Event::LogsAppended {
                        group,
                        stream,
                        last: last.cast_unsigned(),
                    });
                }
                Ok::<_, rusqlite::Error>(())
            });
            if let Err(error) = told.await {
                tracing::warn!(%error, "the journal did not hear of new log lines");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(LOGS_ANNOUNCED_EVERY_MS)) => {}
            }
        }
    }

    async fn expire_regularly(&self, stop: &CancellationToken) {
        loop {
            if let Err(error) = self.expire().await {
                tracing::warn!(%error, "expired log events could not be removed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.news.expiry.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(LOG_SWEEP_SECONDS)) => {}
            }
        }
    }

    /// Removes the events that are beyond their group's retention.
    pub async fn expire(&self) -> Result<(), LogError> {
        let now = self.clock.now();
        let groups = self.groups(Names::default(), u32::MAX).await?;
        for group in groups {
            let Some(oldest) = oldest(&group, now) else { continue };
            loop {
                let name = group.name.clone();
                let more = self.at(&name, move |tx, row| {
                    store::expire(tx, row.id, oldest, LOG_SWEEP_EVENTS).map_err(LogError::Index)
                });
                match more.await {
                    Ok(true) => {}
                    Ok(false) | Err(LogError::NoSuchGroup(_)) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn news(&self) -> std::sync::MutexGuard<'_, BTreeMap<(LogGroupName, LogStreamName), i64>> {
        self.news.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a group.
    pub async fn create_group(&self, new: NewGroup) -> Result<(), CreateError> {
        let group = Group {
            name: new.name,
            created: self.clock.now(),
            retention_days: None,
            kms_key: new.kms_key,
            class: new.class,
            tags: new.tags,
            stored_bytes: 0,
        };
        self.db
            .write(move |tx| {
                if store::group(tx, &group.name)?.is_some() {
                    return Err(CreateError::Exists);
                }
                store::insert_group(tx, &group).map_err(CreateError::Index)
            })
            .await
    }

    /// Makes sure that there is a group of this name.
    pub async fn ensure_group(&self, name: &LogGroupName) -> Result<(), LogError> {
        let class = GroupClass("STANDARD".to_owned());
        let new = NewGroup { name: name.clone(), kms_key: None, class, tags: BTreeMap::new() };
        match self.create_group(new).await {
            Ok(()) | Err(CreateError::Exists) => Ok(()),
            Err(CreateError::Log(error)) => Err(error),
            Err(CreateError::Index(error)) => Err(error.into()),
        }
    }

    /// Removes a group with all of its events.
    pub async fn delete_group(&self, name: &LogGroupName) -> Result<(), LogError> {
        self.at(name, |tx, row| store::remove_group(tx, row.id).map_err(LogError::Index)).await
    }

    /// Groups in the order of their names, `limit` at most.
    pub async fn groups(&self, names: Names, limit: u32) -> Result<Vec<Group>, LogError> {
        let rows = self.db.read(move |connection| {
            let Names { prefix, part, after } = &names;
            let names = store::Names { prefix, part, after, limit };
            store::groups(connection, &names)
        });
        Ok(rows.await?.into_iter().map(|row| row.group).collect())
    }

    /// One group.
    pub async fn group(&self, name: &LogGroupName) -> Result<Group, LogError> {
        let asked = name.clone();
        let row = self.db.read(move |connection| store::group(connection, &asked)).await?;
        row.map(|row| row.group).ok_or_else(|| LogError::NoSuchGroup(name.clone()))
    }

    /// How long the group keeps its events; `None`: for ever.
    pub async fn set_retention(
        &self,
        name: &LogGroupName,
        days: Option<u32>,
    ) -> Result<(), LogError> {
        self.change(name, move |group| group.retention_days = days).await?;
        self.news.expiry.notify_one();
        Ok(())
    }

    /// Adds and replaces tags.
    pub async fn tag(
        &self,
        name: &LogGroupName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), LogError> {
        self.change(name, move |group| group.tags.extend(tags)).await
    }

    /// Removes tags; those that are not there are no error.
    pub async fn untag(&self, name: &LogGroupName, keys: Vec<String>) -> Result<(), LogError> {
        self.change(name, move |group| group.tags.retain(|key, _| !keys.contains(key))).await
    }

    async fn change(
        &self,
        name: &LogGroupName,
        change: impl FnOnce(&mut Group) + Send + 'static,
    ) -> Result<(), LogError> {
        self.at(name, |tx, mut row| {
            change(&mut row.group);
            store::update_group(tx, &row).map_err(LogError::Index)
        })
        .await
    }

    /// Creates a stream.
    pub async fn create_stream(
        &self,
        group: &LogGroupName,
        name: &LogStreamName,
    ) -> Result<(), CreateError> {
        let (name, now) = (name.clone(), self.clock.now());
        self.at(group, move |tx, row| {
            if store::stream(tx, row.id, &name)?.is_some() {
                return Err(CreateError::Exists);
            }
            store::insert_stream(tx, row.id, &name, now)?;
            Ok(())
        })
        .await
    }

    /// Removes a stream with its events.
    pub async fn delete_stream(
        &self,
        group: &LogGroupName,
        name: &LogStreamName,
    ) -> Result<(), LogError> {
        let name = name.clone();
        self.at(group, move |tx, row| {
            let stream = stream_of(tx, &row, &name)?;
            store::remove_stream(tx, row.id, stream).map_err(LogError::Index)
        })
        .await
    }

    /// Streams of a group, in this order and direction.
    pub async fn streams(
        &self,
        group: &LogGroupName,
        order: StreamOrder,
        (direction, limit): (Direction, u32),
    ) -> Result<Vec<Stream>, LogError> {
        self.look(group, move |connection, row| match &order {
            StreamOrder::Name { prefix, after } => {
                let names = store::Names { prefix, part: "", after, limit };
                Ok(store::streams(connection, row.id, &names, direction)?)
            }
            StreamOrder::LastEvent { after } => {
                let after = after.as_ref().map(|(at, name)| (*at, name.as_str()));
                Ok(store::streams_by_time(connection, row.id, after, (direction, limit))?)
            }
        })
        .await
    }

    /// Takes in events that are in the order of their times. Where their times do not allow it, some are left out.
    pub async fn append(
        &self,
        group: &LogGroupName,
        stream: &LogStreamName,
        events: Vec<Draft>,
    ) -> Result<Appended, AppendError> {
        let batch = (stream.clone(), events);
        self.append_to(group, batch, |tx, row, name| Ok(stream_of(tx, row, name)?)).await
    }

    /// Takes in lines as they come, to a stream that is made where there is none.
    pub async fn write(
        &self,
        group: &LogGroupName,
        stream: &LogStreamName,
        events: Vec<Draft>,
    ) -> Result<Appended, AppendError> {
        let (batch, now) = ((stream.clone(), events), self.clock.now());
        self.append_to(group, batch, move |tx, row, name| match store::stream(tx, row.id, name)? {
            Some(id) => Ok(id),
            None => Ok(store::insert_stream(tx, row.id, name, now)?),
        })
        .await
    }

    async fn append_to(
        &self,
        group: &LogGroupName,
        (stream, mut events): (LogStreamName, Vec<Draft>),
        find: impl FnOnce(&db::Tx<'_>, &store::GroupRow, &LogStreamName) -> Result<i64, AppendError>
        + Send
        + 'static,
    ) -> Result<Appended, AppendError> {
        let (now, max_bytes) = (self.clock.now(), self.max_bytes);
        let (name, count) = (stream.clone(), events.len());
        let written = self
            .at(group, move |tx, row| {
                let id = find(tx, &row, &name)?;
                let appended = admit(&row.group, &mut events, now)?;
                if events.is_empty() {
                    return Ok((appended, None));
                }
                let last = store::append(tx, (row.id, id), &events, now)?;
                // Twice as many as came, so that what was over when a limit was lowered shrinks too.
                store::trim(tx, max_bytes, 2 * count + 100)?;
                Ok::<_, AppendError>((appended, Some(last)))
            })
            .await?;
        let (appended, last) = written;
        if let Some(last) = last {
            self.newest.send_if_modified(|newest| {
                let newer = last > *newest;
                *newest = last.max(*newest);
                newer
            });
            self.news().insert((group.clone(), stream), last);
            self.news.bell.notify_one();
        }
        Ok(appended)
    }

    /// A page of one stream.
    pub async fn read(
        &self,
        group: &LogGroupName,
        stream: &LogStreamName,
        ask: Ask,
    ) -> Result<Page, LogError> {
        let (stream, now) = (stream.clone(), self.clock.now());
        self.look(group, move |connection, row| {
            let id = stream_of(connection, &row, &stream)?;
            let span = within_retention(ask.span, &row.group, now);
            let from = ask.from.unwrap_or(match ask.direction {
                Direction::Forward => Position::START,
                Direction::Backward => Position::END,
            });
            let mut gathered = Gathered::new(ask.limit);
            let source = store::Source::Stream(id);
            let range = store::Range { source, span, direction: ask.direction, from };
            store::each(connection, range, |seen| gathered.take(&seen, || Some(stream.clone())))?;
            Ok(page(gathered.events, ask.direction, from))
        })
        .await
    }

    /// A page of a search through a group, in the order of the direction.
    pub async fn search(&self, group: &LogGroupName, search: Search) -> Result<Found, LogError> {
        let now = self.clock.now();
        let streams = search.streams.clone();
        let (source, only, span) = self
            .look(group, move |connection, row| {
                let (source, only) = sources(connection, &row, &streams)?;
                Ok((source, only, within_retention(search.span, &row.group, now)))
            })
            .await?;
        let start = match search.direction {
            Direction::Forward => Position::START,
            Direction::Backward => Position::END,
        };
        let from = search.from.unwrap_or(start);
        let mut range = store::Range { source, span, direction: search.direction, from };
        let mut sieve = Sieve {
            only,
            pattern: search.pattern,
            gathered: Gathered::new(search.limit),
            names: BTreeMap::new(),
            reached: from,
            scanned: 0,
        };
        for _ in 0..LOG_SCANS_MAX {
            // A look at a time, so that other readers come in between.
            let look = self.db.read(move |connection| {
                let ended = store::each(connection, range, |seen| sieve.see(connection, &seen))?;
                Ok::<_, rusqlite::Error>((sieve, ended))
            });
            let ended;
            (sieve, ended) = look.await?;
            if ended {
                return Ok(Found { events: sieve.gathered.events, next: None });
            }
            if sieve.gathered.full {
                break;
            }
            range.from = sieve.reached;
            sieve.scanned = 0;
        }
        Ok(Found { events: sieve.gathered.events, next: Some(sieve.reached) })
    }

    /// The number of the newest arrival; it changes when there is a newer one.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Arrivals numbered above `after` in these groups, in the order in which they came, `limit` at most.
    pub async fn arrivals(
        &self,
        after: i64,
        groups: Vec<LogGroupName>,
        limit: usize,
    ) -> Result<Arrivals, LogError> {
        let read = self.db.read(move |connection| {
            let mut wanted = BTreeMap::new();
            for name in groups {
                if let Some(row) = store::group(connection, &name)? {
                    wanted.insert(row.id, name);
                }
            }
            let mut told = Arrivals { events: Vec::new(), last: after };
            let (mut bytes, mut names) = (0, BTreeMap::new());
            store::arrivals(connection, after, |group, seen| {
                let Some(group) = wanted.get(&group) else {
                    told.last = seen.position.number;
                    return true;
                };
                if told.events.len() >= limit || bytes > LOG_SCAN_BYTES {
                    return false;
                }
                told.last = seen.position.number;
                bytes += store::size_of(seen.message);
                if let Some(stream) = name_of(connection, &mut names, seen.stream) {
                    let event = seen.to_event(stream);
                    told.events.push(Arrival { group: group.clone(), event });
                }
                true
            })?;
            Ok::<_, rusqlite::Error>(told)
        });
        Ok(read.await?)
    }

    /// Runs `work` in a transaction on a group that exists.
    async fn at<T, E>(
        &self,
        group: &LogGroupName,
        work: impl FnOnce(&mut db::Tx<'_>, store::GroupRow) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + From<LogError> + Send + 'static,
    {
        let group = group.clone();
        self.db
            .write(move |tx| match store::group(tx, &group)? {
                Some(row) => work(tx, row),
                None => Err(LogError::NoSuchGroup(group).into()),
            })
            .await
    }

    /// The same without changing anything.
    async fn look<T>(
        &self,
        group: &LogGroupName,
        work: impl FnOnce(&rusqlite::Connection, store::GroupRow) -> Result<T, LogError>
        + Send
        + 'static,
    ) -> Result<T, LogError>
    where
        T: Send + 'static,
    {
        let group = group.clone();
        self.db
            .read(move |connection| match store::group(connection, &group)? {
                Some(row) => work(connection, row),
                None => Err(LogError::NoSuchGroup(group)),
            })
            .await
    }
}

fn stream_of(
    connection: &rusqlite::Connection,
    row: &store::GroupRow,
    name: &LogStreamName,
) -> Result<i64, LogError> {
    let found = store::stream(connection, row.id, name)?;
    found.ok_or_else(|| LogError::NoSuchStream(name.clone()))
}

/// Where to look, and the streams that count where not all of them do.
fn sources(
    connection: &rusqlite::Connection,
    row: &store::GroupRow,
    streams: &Streams,
) -> Result<(store::Source, Option<BTreeSet<i64>>), LogError> {
    let whole = store::Source::Group(row.id);
    let ids = match streams {
        Streams::All => return Ok((whole, None)),
        Streams::Named(names) => {
            let ids = names.iter().map(|name| stream_of(connection, row, name));
            ids.collect::<Result<BTreeSet<i64>, LogError>>()?
        }
        Streams::WithPrefix(prefix) => {
            store::streams_with(connection, row.id, prefix)?.into_iter().collect()
        }
    };
    match ids.first() {
        Some(only) if ids.len() == 1 => Ok((store::Source::Stream(*only), None)),
        _ => Ok((whole, Some(ids))),
    }
}

/// Before this, the group keeps nothing.
fn oldest(group: &Group, now: Timestamp) -> Option<Timestamp> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    group.retention_days.map(|days| now.plus_millis(-i64::from(days) * DAY_MS))
}

fn within_retention(span: Span, group: &Group, now: Timestamp) -> Span {
    span.since(oldest(group, now).map_or(0, Timestamp::as_millis))
}

/// Drops the events whose times do not allow them to be taken in, and says which.
fn admit(group: &Group, events: &mut Vec<Draft>, now: Timestamp) -> Result<Appended, AppendError> {
    let before = |limit: Timestamp, events: &[Draft]| {
        events.iter().take_while(|event| event.at < limit).count()
    };
    let old = before(now.plus_millis(-LOG_BEHIND_MAX_MS), events);
    let expired = oldest(group, now).map_or(0, |oldest| before(oldest, events));
    let timely = before(now.plus_millis(LOG_AHEAD_MAX_MS + 1), events);
    let appended = Appended {
        too_old_before: (old > 0).then_some(old),
        expired_before: (expired > old).then_some(expired),
        too_new_from: (timely < events.len()).then_some(timely),
    };
    events.truncate(timely);
    events.drain(..old.max(expired).min(timely));
    if let (Some(first), Some(last)) = (events.first(), events.last())
        && last.at.as_millis() - first.at.as_millis() > LOG_BATCH_SPAN_MAX_MS
    {
        return Err(AppendError::Span);
    }
    Ok(appended)
}

/// Events up to a page's limits.
#[derive(Debug)]
struct Gathered {
    events: Vec<Event>,
    bytes: usize,
    limit: usize,
    full: bool,
}

impl Gathered {
    fn new(limit: u32) -> Gathered {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Gathered { events: Vec::new(), bytes: 0, limit, full: false }
    }

    /// Takes one more where it fits. Says whether it did.
    fn take(
        &mut self,
        seen: &store::Seen<'_>,
        name: impl FnOnce() -> Option<LogStreamName>,
    ) -> bool {
        let size = store::size_of(seen.message);
        let fits = self.events.is_empty() || self.bytes + size <= LOG_BATCH_MAX_BYTES;
        if self.events.len() >= self.limit || !fits {
            self.full = true;
            return false;
        }
        self.bytes += size;
        // A stream that was deleted a moment ago has no name, and its events go the same way.
        self.events.extend(name().map(|name| seen.to_event(name)));
        true
    }
}

/// What a search keeps of all that it sees.
struct Sieve {
    only: Option<BTreeSet<i64>>,
    pattern: Pattern,
    gathered: Gathered,
    names: BTreeMap<i64, Option<LogStreamName>>,
    reached: Position,
    /// In this look.
    scanned: u32,
}

impl Sieve {
    /// Says whether the look goes on.
    fn see(&mut self, connection: &rusqlite::Connection, seen: &store::Seen<'_>) -> bool {
        if self.scanned >= LOG_SCAN_EVENTS {
            return false;
        }
        self.scanned += 1;
        let counts = self.only.as_ref().is_none_or(|only| only.contains(&seen.stream));
        if counts && self.pattern.matches(seen.message) {
            let names = &mut self.names;
            if !self.gathered.take(seen, || name_of(connection, names, seen.stream)) {
                return false;
            }
        }
        self.reached = seen.position;
        true
    }
}

fn name_of(
    connection: &rusqlite::Connection,
    names: &mut BTreeMap<i64, Option<LogStreamName>>,
    stream: i64,
) -> Option<LogStreamName> {
    let known = names.entry(stream);
    known.or_insert_with(|| store::name_of_stream(connection, stream).ok().flatten()).clone()
}

fn page(mut events: Vec<Event>, direction: Direction, from: Position) -> Page {
    if direction == Direction::Backward {
        events.reverse();
    }
    let (forward, backward) = match (events.first(), events.last(), direction) {
        (Some(first), Some(last), _) => (last.position, first.position),
        (_, _, Direction::Forward) => (from, from.just_behind()),
        // Nothing yet at all: whatever comes is ahead.
        (_, _, Direction::Backward) if from == Position::END => (Position::START, Position::START),
        (_, _, Direction::Backward) => (from.just_before(), from),
    };
    Page { events, forward, backward }
}

#[cfg(test)]
mod tests;
