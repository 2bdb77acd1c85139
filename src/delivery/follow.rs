//! The loop that follows the bucket and has Airflow read what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::backlog::{Backlog, Batch, Cause, Want, changes};
use super::{Delivery, Outcome, Scope, Synced, plan, store};
use crate::clock::Clock;
use crate::db::Event;
use crate::id::{LaunchId, ObjectKey, VersionId};
use crate::limits::{
    DELIVERY_RETRY_SECONDS, PARSE_ATTEMPTS_MAX, PARSES_AT_ONCE, SCAN_INTERVAL_SECONDS,
};
use crate::runtime::{ExecError, Life, Parsed};

/// Events read at once.
const EVENTS: u32 = 1_000;

/// The state of the loop. One task owns it.
#[derive(Debug)]
pub(super) struct Follow {
    delivery: Arc<Delivery>,
    /// The last event that was looked at.
    seq: u64,
    pending: Option<Scope>,
    due: Instant,
    backlog: Backlog,
    underway: JoinSet<(Batch, Result<Vec<Parsed>, ExecError>)>,
    launch: Option<LaunchId>,
    /// Readings that failed for reasons of ours, to be asked for again.
    later: Batch,
    /// Files that have DAGs or do not import: what must be read again when something that they import changes. True
    /// for those that had DAGs when they last imported; another one may be a module that a fault has made known.
    dag_files: BTreeMap<PathBuf, bool>,
    refused: BTreeMap<ObjectKey, &'static str>,
    clock: Clock,
}

impl Follow {
    pub(super) fn new(delivery: Arc<Delivery>) -> Follow {
        Follow {
            seq: 0,
            pending: None,
            due: Instant::now(),
            backlog: Backlog::default(),
            underway: JoinSet::new(),
            launch: None,
            later: Batch::new(),
            dag_files: BTreeMap::new(),
            refused: BTreeMap::new(),
            clock: Clock::system(),
            delivery,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut seen = self.delivery.db.journal().subscribe();
        self.seq = *seen.borrow_and_update();
        let mut life = self.delivery.runtime.life(&self.delivery.environment);
        self.remember_dag_files().await;
        self.want(Scope::Everything, Duration::ZERO);
        let every = Duration::from_secs(SCAN_INTERVAL_SECONDS);
        let mut tick = tokio::time::interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.observe(&mut life).await;
        loop {
            self.start_readings();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = seen.changed() => {
                    seen.borrow_and_update();
                    self.hear().await;
                }
                Ok(()) = life.changed() => self.observe(&mut life).await,
                Some(end) = self.underway.join_next() => {
                    let (batch, result) = end.expect("a reading reports failure, it does not panic");
                    self.finish(batch, result).await;
                }
                () = tokio::time::sleep_until(self.due), if self.pending.is_some() => {
                    self.deliver().await;
                }
                _ = tick.tick() => self.look_around(),
            }
        }
        self.underway.shutdown().await;
    }

    /// A look at everything, should a word of a change have been lost. It is no quicker than the word would be.
    fn look_around(&mut self) {
        for (path, want) in std::mem::take(&mut self.later) {
            self.backlog.add(path, want);
        }
        self.want(Scope::Everything, self.delivery.sync_interval);
    }

    async fn remember_dag_files(&mut self) {
        match super::outcomes(&self.delivery.db, &self.delivery.environment).await {
            Ok(outcomes) => {
                let files = outcomes.into_iter();
                self.dag_files =
                    files.map(|outcome| (outcome.path, !outcome.dag_ids.is_empty())).collect();
            }
            Err(error) => tracing::error!(%error, "earlier parse results cannot be read"),
        }
    }

    fn want(&mut self, scope: Scope, within: Duration) {
        let due = Instant::now() + within;
        self.due = if self.pending.is_some() { self.due.min(due) } else { due };
        self.pending = Some(match (self.pending.take(), scope) {
            (Some(Scope::Keys(mut keys)), Scope::Keys(more)) => {
                keys.extend(more);
                Scope::Keys(keys)
            }
            (None, scope) => scope,
            (Some(_), Scope::Everything) | (Some(Scope::Everything), Scope::Keys(_)) => {
                Scope::Everything
            }
        });
    }

    /// Reads the journal on from where we were.
    async fn hear(&mut self) {
        loop {
            let events = match self.delivery.db.events_after(self.seq, EVENTS).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read");
                    return self
                        .want(Scope::Everything, Duration::from_secs(DELIVERY_RETRY_SECONDS));
                }
            };
            let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
            if first.seq > self.seq + 1 {
                // We fell out of the journal: look at everything afresh.
                self.want(Scope::Everything, self.delivery.sync_interval);
            }
            self.seq = last.seq;
            // Divergence(dag-sync): MWAA's containers look every 30 s, and Airflow every 30 s or 5 minutes after.
            let keys: BTreeSet<ObjectKey> =
                events.into_iter().filter_map(|numbered| self.concerned(numbered.event)).collect();
            if !keys.is_empty() {
                self.want(Scope::Keys(keys), self.delivery.sync_interval);
            }
        }
    }

    fn concerned(&self, event: Event) -> Option<ObjectKey> {
        match event {
            Event::ObjectWritten { bucket, key, .. } | Event::ObjectDeleted { bucket, key } => {
                let below = !matches!(plan::path_of(&key, &self.delivery.dag_path), Ok(None));
                (below && bucket == self.delivery.bucket).then_some(key)
            }
            Event::EnvironmentChanged { .. }
            | Event::DagParsed { .. }
            | Event::WorkersScaled { .. }
            | Event::LogsAppended { .. } => None,
        }
    }

    /// A new launch has read nothing yet.
    async fn observe(&mut self, life: &mut watch::Receiver<Life>) {
        let now = life.borrow_and_update().clone();
        match now {
            Life::Running(launch) if self.launch != Some(launch) => {
                self.launch = Some(launch);
                let delivered = self.delivered().await;
                // Files that went while nobody followed: Airflow's database may still know their DAGs.
                for gone in self.dag_files.keys().filter(|path| !delivered.contains(path)) {
                    self.backlog.add(gone.clone(), Want::of(Cause::Deleted));
                }
                for path in delivered {
                    self.backlog.add(path, Want::of(Cause::Again));
                }
            }
            Life::Running(_) => {}
            Life::Stopped | Life::Lost { .. } => {
                self.launch = None;
                self.backlog.clear();
                self.later.clear();
            }
        }
    }

    async fn delivered(&self) -> Vec<PathBuf> {
        match self.delivery.recorded(None).await {
            Ok(recorded) => {
                recorded.into_keys().map(PathBuf::from).filter(|path| may_hold_dags(path)).collect()
            }
            Err(error) => {
                tracing::error!(%error, "what was delivered cannot be read");
                Vec::new()
            }
        }
    }

    /// Brings the directory up to date.
    async fn deliver(&mut self) {
        let Some(scope) = self.pending.take() else { return };
        match self.delivery.sync(&scope).await {
            Ok(synced) => self.digest(synced).await,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "dags cannot be delivered; trying again");
                // What was written before the fault is found out by no second look: have it all read.
                for path in self.delivered().await {
                    self.backlog.add(path, Want::of(Cause::Again));
                }
                self.want(Scope::Everything, Duration::from_secs(DELIVERY_RETRY_SECONDS));
            }
        }
    }

    async fn digest(&mut self, synced: Synced) {
        self.report_refused(synced.refused).await;
        let mut others = false;
        let changed = synced.written.keys().chain(&synced.removed);
        if changed.map(Path::new).any(|path| path.ends_with(".airflowignore")) {
            // Which files hold DAGs at all may be another matter now.
            for path in self.delivered().await {
                self.ask(path, Want::of(Cause::Again)).await;
            }
        }
        for (path, version) in synced.written {
            let path = PathBuf::from(path);
            if may_hold_dags(&path) {
                let cause = Cause::Saved { version: version.id, at: version.modified };
                self.ask(path, Want::of(cause)).await;
            } else {
                others |= may_be_imported(&path);
            }
        }
        for path in synced.removed {
            let path = PathBuf::from(path);
            others |= may_be_imported(&path) && !self.had_dags(&path);
            if may_hold_dags(&path) {
                self.ask(path, Want::of(Cause::Deleted)).await;
            }
        }
        if others {
            self.read_all_again();
        }
    }

    /// Asks for a reading, or, while there is no Airflow, only forgets what it said of a file that is gone.
    async fn ask(&mut self, path: PathBuf, want: Want) {
        if self.launch.is_some() {
            self.backlog.add(path, want);
        } else if want.cause == Cause::Deleted {
            self.keep(vec![], vec![path]).await;
        }
    }

    fn had_dags(&self, path: &Path) -> bool {
        self.dag_files.get(path) == Some(&true)
    }

    fn read_all_again(&mut self) {
        if self.launch.is_some() {
            for path in self.dag_files.keys() {
                self.backlog.add(path.clone(), Want::of(Cause::Again));
            }
        }
    }

    async fn report_refused(&mut self, refused: BTreeMap<ObjectKey, &'static str>) {
        for (key, why) in refused {
            if self.refused.insert(key.clone(), why) == Some(why) {
                continue;
            }
            tracing::warn!(%key, why, "an object cannot be a dag file");
            let error = Some(format!("{key}:1: this key cannot be a dag file: {why}"));
            self.announce(vec![Event::DagParsed {
                environment: self.delivery.environment.clone(),
                key,
                version: None,
                dag_ids: Vec::new(),
                took_ms: 0,
                error,
            }])
            .await;
        }
    }

    fn start_readings(&mut self) {
        while self.launch.is_some() && self.underway.len() < PARSES_AT_ONCE {
            let Some(batch) = self.backlog.take() else { return };
            let delivery = Arc::clone(&self.delivery);
            self.underway.spawn(async move {
                let result = delivery.runtime.parse(&delivery.environment, changes(&batch)).await;
                (batch, result)
            });
        }
    }

    async fn finish(&mut self, batch: Batch, result: Result<Vec<Parsed>, ExecError>) {
        self.backlog.done(batch.keys());
        match result {
            Ok(parsed) => self.settle(batch, parsed).await,
            // The next launch reads everything.
            Err(ExecError::NotRunning(_)) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, files = batch.len(), "Airflow did not read dag files");
                for (path, mut want) in batch {
                    want.failures += 1;
                    if want.failures < PARSE_ATTEMPTS_MAX {
                        self.later.insert(path, want);
                    }
                }
            }
        }
    }

    async fn settle(&mut self, batch: Batch, parsed: Vec<Parsed>) {
        let mut parsed: BTreeMap<PathBuf, Parsed> =
            parsed.into_iter().map(|parsed| (parsed.path.clone(), parsed)).collect();
        let (mut events, mut kept, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        let mut others = false;
        for (path, want) in batch {
            let result = parsed.remove(&path).filter(|_| want.cause != Cause::Deleted);
            let had_dags = self.had_dags(&path);
            let outcome = Outcome {
                path: path.clone(),
                dag_ids: result.as_ref().map(|parsed| parsed.dag_ids.clone()).unwrap_or_default(),
                error: result.as_ref().and_then(|parsed| parsed.error.clone()),
            };
            if let Some(event) = self.event(&want, result.as_ref(), &outcome) {
                events.push(event);
            }
            // Perhaps a module that DAGs import, also where it does not import itself.
            let saved = matches!(want.cause, Cause::Saved { .. });
            others |= saved && !had_dags && outcome.dag_ids.is_empty();
            if outcome.dag_ids.is_empty() && outcome.error.is_none() {
                self.dag_files.remove(&path);
                forgotten.push(path);
            } else {
                // A fault says nothing about what the file has otherwise.
                self.dag_files.insert(path, !outcome.dag_ids.is_empty() || had_dags);
                kept.push(outcome);
            }
        }
        if others {
            self.read_all_again();
        }
        self.keep_and_announce(kept, forgotten, events).await;
    }

    fn event(&self, want: &Want, parsed: Option<&Parsed>, outcome: &Outcome) -> Option<Event> {
        let (version, took_ms): (Option<VersionId>, i64) = match &want.cause {
            Cause::Saved { version, at } => {
                let took = self.clock.now().as_millis() - at.as_millis();
                (Some(version.clone()), took.max(0))
            }
            Cause::Deleted => (None, 0),
            Cause::Again => (None, i64::try_from(parsed?.took.as_millis()).unwrap_or(i64::MAX)),
        };
        let key = format!("{}/{}", self.delivery.dag_path, outcome.path.display());
        Some(Event::DagParsed {
            environment: self.delivery.environment.clone(),
            key: ObjectKey::parse(key).ok()?,
            version,
            dag_ids: outcome.dag_ids.clone(),
            took_ms,
            error: outcome.error.as_ref().map(|error| {
                // A file of the dags directory is named as in the project and the bucket; joining an absolute path
                // leaves it as it is.
                let file = Path::new(&self.delivery.dag_path).join(&error.file);
                format!("{}:{}: {}", file.display(), error.line, error.message)
            }),
        })
    }

    async fn keep(&self, kept: Vec<Outcome>, forgotten: Vec<PathBuf>) {
        self.keep_and_announce(kept, forgotten, Vec::new()).await;
    }

    async fn announce(&self, events: Vec<Event>) {
        self.keep_and_announce(Vec::new(), Vec::new(), events).await;
    }

    async fn keep_and_announce(
        &self,
        kept: Vec<Outcome>,
        forgotten: Vec<PathBuf>,
        events: Vec<Event>,
    ) {
        let environment = self.delivery.environment.clone();
        let written: rusqlite::Result<()> = self
            .delivery
            .db
            .write(move |tx| {
                for outcome in &kept {
                    store::record_outcome(tx, &environment, outcome)?;
                }
                for path in &forgotten {
                    store::forget_outcome(tx, &environment, path)?;
                }
                for event in events {
                    tx.announce(event);
                }
                Ok(())
            })
            .await;
        if let Err(error) = written {
            tracing::error!(%error, "parse results cannot be kept");
        }
    }
}

/// What Airflow's own file processor would open.
fn may_hold_dags(path: &Path) -> bool {
    extension(path).is_some_and(|extension| matches!(extension, "py" | "zip"))
}

/// Whether DAG files may depend on this one at import: modules, and what dag factories read.
fn may_be_imported(path: &Path) -> bool {
    let by_extension = |extension| {
        matches!(extension, "py" | "zip" | "yaml" | "yml" | "json" | "toml" | "ini" | "cfg" | "csv")
    };
    extension(path).is_some_and(by_extension)
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}

#[cfg(test)]
mod tests {
    use super::super::tests::slow;
    use super::*;

    #[tokio::test]
    async fn a_look_around_does_not_hurry_a_change_that_may_wait() {
        let (delivery, _home) = slow(Duration::from_hours(1)).await;
        let mut follow = Follow::new(Arc::new(delivery));
        let key = ObjectKey::parse("dags/a.py").unwrap();
        follow.want(Scope::Keys([key].into()), Duration::from_hours(1));
        let due = follow.due;
        follow.look_around();
        assert_eq!((follow.due, follow.pending), (due, Some(Scope::Everything)));
    }
}
