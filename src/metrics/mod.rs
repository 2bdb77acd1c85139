//! Metrics: numbers over time, by namespace, name and dimensions.
//!
//! Promise: what was put is there for every later question, at a resolution that falls with its age and in bounded
//! space; what arrives by `StatsD` is part of every answer at once, and on disk within ten seconds for periods below a
//! minute, within a minute for longer ones.
//! Not here: alarms, formulas over metrics, how CloudWatch spells any of it (`api::cloudwatch`).

mod point;
mod published;
mod series;
mod statsd;
mod store;
mod tiers;
mod windows;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Schema};
use crate::limits::{
    METRIC_FLUSH_SECONDS, METRIC_POINTS_MAX, METRIC_PRUNE_SECONDS, METRIC_SERIES_MAX,
    STATSD_BURST_DATAGRAMS, STATSD_DATAGRAM_MAX_BYTES,
};
pub use point::{Point, Statistic};
pub use published::{AIRFLOW_NAMESPACE, ENVIRONMENT, statsd_prefix};
pub use series::{Dimensions, Metric, Series, Unit};
use windows::{Width, Windows};

pub const SCHEMA: Schema = store::SCHEMA;

/// Series whose old points are removed in one transaction: others write in between.
const PRUNED_AT_ONCE: usize = 100;

/// All metrics of one windtunnel. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Metrics {
    db: Db,
    clock: Clock,
    windows: Arc<Mutex<Windows>>,
    socket: Arc<UdpSocket>,
    /// Odd while windows move to disk: who looks then may see them twice, or not at all, and looks again.
    moves: Arc<watch::Sender<u64>>,
}

/// Values to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    pub series: Series,
    pub at: Timestamp,
    pub resolution: Resolution,
    pub point: Point,
}

/// How fine values are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Second,
    Minute,
}

/// What is asked of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub metric: Metric,
    /// `None`: whatever the unit.
    pub unit: Option<Unit>,
    /// The width of the wanted points: below 60, or a multiple of it.
    pub period_seconds: u32,
    pub from: Timestamp,
    /// Not part of it.
    pub to: Timestamp,
}

/// One point of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The beginning of its period.
    pub at: Timestamp,
    pub unit: Unit,
    pub point: Point,
}

/// A known metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub series: Series,
    /// Of its latest value, to the second.
    pub newest: Timestamp,
}

/// Which metrics are wanted; `None` and nothing are no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Each must be there; with this value, where one is given.
    pub dimensions: Vec<(String, Option<String>)>,
    /// Not before this.
    pub since: Option<Timestamp>,
}

/// Why values were not kept. None of them were.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("{METRIC_SERIES_MAX} metrics are known, and there is no room for `{0}`")]
    TooMany(String),
    #[error("the metrics could not be written")]
    Index(#[from] rusqlite::Error),
}

impl Metrics {
    /// Opens the store, and a socket on loopback that hears `StatsD` once [`Metrics::run`] runs.
    pub async fn open(db: Db, clock: Clock) -> io::Result<Metrics> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let windows = Windows::new(tiers::seconds(clock.now()));
        Ok(Metrics {
            db,
            clock,
            windows: Arc::new(Mutex::new(windows)),
            socket: Arc::new(socket),
            moves: Arc::new(watch::Sender::new(0)),
        })
    }

    /// Where `StatsD` datagrams are taken, with the prefix of [`statsd_prefix`].
    pub fn statsd_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The time by which points are young or old.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Keeps these values; on disk when it returns.
    pub async fn put(&self, data: Vec<Datum>) -> Result<(), PutError> {
        self.db
            .write(move |tx| {
                for Datum { series, at, resolution, point } in data {
                    let at_s = tiers::seconds(at);
                    let id = store::series_id(tx, &series, at_s)?
                        .ok_or(PutError::TooMany(series.metric.name))?;
                    if resolution == Resolution::Second {
                        store::add(tx, (id, 0, at_s), &point)?;
                    }
                    for tier in tiers::COARSE {
                        store::add(tx, (id, tier, at_s), &point)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// The known metrics, by namespace, name and dimensions.
    pub async fn list(&self, filter: Filter) -> rusqlite::Result<Vec<Known>> {
        let mut known: BTreeMap<Series, i64> = BTreeMap::new();
        let (namespace, name) = (filter.namespace.clone(), filter.name.clone());
        let rows = self
            .db
            .read(move |connection| {
                store::series(connection, namespace.as_deref(), name.as_deref())
            })
            .await?;
        known.extend(rows.into_iter().map(|row| (row.series, row.newest_s)));
        for (series, at, _) in self.windows().unwritten(Width::Fine) {
            let newest = known.entry(series.clone()).or_insert(at);
            *newest = at.max(*newest);
        }
        let known = known.into_iter().map(|(series, newest_s)| Known {
            series,
            newest: Timestamp::from_millis(newest_s * 1000),
        });
        Ok(known.filter(|known| filter.fits(known)).collect())
    }

    /// The points that answer a question, oldest first; of several units, where there are and none is named.
    pub async fn points(&self, question: Question) -> rusqlite::Result<Vec<Answered>> {
        let mut moves = self.moves.subscribe();
        loop {
            let before = *moves.borrow_and_update();
            if before.is_multiple_of(2) {
                let answer = self.points_now(&question).await?;
                if *self.moves.borrow() == before {
                    return Ok(answer);
                }
            } else if moves.changed().await.is_err() {
                return self.points_now(&question).await;
            }
        }
    }

    async fn points_now(&self, question: &Question) -> rusqlite::Result<Vec<Answered>> {
        let (from, to) = (tiers::seconds(question.from), end_seconds(question.to));
        let period = i64::from(question.period_seconds.max(1));
        let parts = tiers::plan(period, from, to, tiers::seconds(self.clock.now()));
        let (metric, unit) = (question.metric.clone(), question.unit);
        let mut answer: BTreeMap<(i64, Unit), Point> = self
            .db
            .read(move |connection| {
                let mut answer = BTreeMap::new();
                for row in store::series_of(connection, &metric)? {
                    let of = row.series.unit;
                    for part in parts.iter().filter(|_| unit.is_none_or(|unit| unit == of)) {
                        for (at, point) in store::points(connection, row.id, *part)? {
                            add(&mut answer, (tiers::floor(at, period), of), &point);
                        }
                    }
                }
                Ok::<_, rusqlite::Error>(answer)
            })
            .await?;
        let width = if period < 60 { Width::Fine } else { Width::Minute };
        let from = tiers::floor(from, period);
        for (series, at, point) in self.windows().unwritten(width) {
            let wanted = series.metric == question.metric
                && unit.is_none_or(|unit| unit == series.unit)
                && (from..to).contains(&at);
            if wanted {
                add(&mut answer, (tiers::floor(at, period), series.unit), point);
            }
        }
        Ok(answer
            .into_iter()
            .map(|((at, unit), point)| Answered {
                at: Timestamp::from_millis(at * 1000),
                unit,
                point,
            })
            .collect())
    }

    /// What every metric was in the minute that begins at `at`, in seconds since the epoch.
    pub async fn minute(&self, at: i64) -> rusqlite::Result<Vec<(Series, Point)>> {
        let found = self.db.read(move |connection| store::minute(connection, at)).await?;
        let mut found: BTreeMap<Series, Point> = found.into_iter().collect();
        for (series, of, point) in self.windows().unwritten(Width::Minute) {
            if of == at {
                match found.get_mut(series) {
                    Some(known) => known.add(point),
                    None => drop(found.insert(series.clone(), point.clone())),
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Hears `StatsD` and writes it down, until `stop`; then what is left.
    pub async fn run(self, stop: CancellationToken) {
        let mut datagram = vec![0; STATSD_DATAGRAM_MAX_BYTES];
        let mut pruned = i64::MIN;
        loop {
            let (now, window_ms) = (self.clock.now(), METRIC_FLUSH_SECONDS * 1000);
            let window_ends_in = window_ms - now.as_millis().rem_euclid(window_ms);
            let window_ends_in = Duration::from_millis(u64::try_from(window_ends_in).unwrap_or(1));
            let now = tiers::seconds(now);
            if pruned.saturating_add(METRIC_PRUNE_SECONDS) <= now {
                pruned = now;
                self.prune(now).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.hear(&mut datagram) => {}
                () = tokio::time::sleep(window_ends_in) => {
                    let closed = self.windows().take_ended(tiers::seconds(self.clock.now()));
                    self.move_to_disk(closed).await;
                }
            }
        }
        let rest = self.windows().all();
        self.move_to_disk(rest).await;
    }

    /// Takes datagrams for ever. Dropping it loses none.
    async fn hear(&self, datagram: &mut [u8]) {
        loop {
            match self.socket.recv(datagram).await {
                Ok(length) => self.take(&datagram[..length]),
                // Loopback has none that would last; the next datagram may be fine.
                Err(error) => {
                    warn!(%error, "a datagram of metrics was not received");
                    continue;
                }
            }
            for _ in 0..STATSD_BURST_DATAGRAMS {
                match self.socket.try_recv(datagram) {
                    Ok(length) => self.take(&datagram[..length]),
                    Err(_) => break,
                }
            }
            // However hard somebody sends, others have their turn.
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, datagram: &[u8]) {
        let now = tiers::seconds(self.clock.now());
        let mut windows = self.windows();
        for line in statsd::parse(datagram) {
            let Some(published) = published::publish(&line) else { continue };
            let value = line.value.scaled(published.scale);
            windows.take(&Arc::new(published.series), value, now);
        }
    }

    async fn move_to_disk(&self, closed: Arc<Vec<windows::Closed>>) {
        if closed.iter().all(|window| window.points.is_empty()) {
            return;
        }
        self.moves.send_modify(|moves| *moves += 1);
        let written = self.db.write(move |tx| write_windows(tx, &closed)).await;
        match written {
            Ok(()) => {
                let mut windows = self.windows();
                windows.written();
                let left_out = windows.left_out();
                drop(windows);
                if left_out > 0 {
                    warn!(left_out, "too many metrics are sent; values were left out");
                }
            }
            // They stay in memory, and are tried again with the next ones.
            Err(error) => warn!(%error, "metrics could not be written"),
        }
        self.moves.send_modify(|moves| *moves += 1);
    }

    async fn prune(&self, now: i64) {
        if let Err(error) = self.remove_old(now).await {
            warn!(%error, "old metrics could not be removed");
        }
    }

    async fn remove_old(&self, now: i64) -> rusqlite::Result<()> {
        // Where age alone is not enough, everything is kept for half as long, and so on.
        for share in [1, 2, 4, 8, 16, 32, 64] {
            let ids = self.db.read(store::ids).await?;
            for some in ids.chunks(PRUNED_AT_ONCE) {
                let some = some.to_vec();
                self.db.write(move |tx| store::remove_older(tx, &some, now, share)).await?;
            }
            if self.db.read(store::count).await? <= METRIC_POINTS_MAX {
                break;
            }
        }
        self.db.write(move |tx| store::remove_ended(tx, now)).await
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().expect("nothing panics under this lock")
    }
}

impl Filter {
    fn fits(&self, known: &Known) -> bool {
        let Metric { namespace, name, dimensions } = &known.series.metric;
        self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.since.is_none_or(|since| known.newest >= since)
            && self.dimensions.iter().all(|(wanted, value)| {
                let given = dimensions.get(wanted);
                given.is_some_and(|given| value.as_ref().is_none_or(|value| value == given))
            })
    }
}

/// A moment within a second belongs to it: the end is exclusive, so it is moved behind that second.
fn end_seconds(to: Timestamp) -> i64 {
    tiers::seconds(to.plus_millis(999))
}

fn add(points: &mut BTreeMap<(i64, Unit), Point>, key: (i64, Unit), point: &Point) {
    match points.get_mut(&key) {
        Some(known) => known.add(point),
        None => drop(points.insert(key, point.clone())),
    }
}

fn write_windows(tx: &rusqlite::Connection, closed: &[windows::Closed]) -> rusqlite::Result<()> {
    for window in closed {
        for (series, point) in &window.points {
            // Beyond the number of metrics that are kept, new ones are not.
            let Some(id) = store::series_id(tx, series, window.at)? else { continue };
            match window.width {
                Width::Fine => store::add(tx, (id, 0, window.at), point)?,
                Width::Minute => {
                    for tier in tiers::COARSE {
                        store::add(tx, (id, tier, window.at), point)?;
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
