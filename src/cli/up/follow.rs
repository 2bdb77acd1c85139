//! What a person hears while windtunnel runs: the launch, DAG files that do not import, what the mirror runs into.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};

use super::{settle, summary};
use crate::cli::client::{Client, Events};
use crate::cli::failure::{Failure, NO};
use crate::cli::progress::Progress;
use crate::cli::terminal;
use crate::daemon::{Note, Running};
use crate::environment::{Environment, Status, UpdateStatus};
use crate::id::{EnvironmentName, ObjectKey};
use crate::mirror;
use crate::runtime::Report;

/// Why windtunnel is about to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By Ctrl-C, a signal, or `windtunnel down`.
    Asked,
    /// A task panicked.
    Panic,
    /// The project's environment could not be started, or the project has gone.
    Failed,
}

/// Follows one run, from its start to its end.
#[derive(Debug)]
pub(super) struct Follow {
    client: Client,
    progress: Progress,
    /// The line that told programs where everything is.
    ready: Value,
    own: Option<EnvironmentName>,
    environment: Option<watch::Receiver<Option<Environment>>>,
    reports: broadcast::Receiver<(EnvironmentName, Report)>,
    notes: mpsc::UnboundedReceiver<Note>,
    /// Whether people and programs were told that it can be used.
    told: bool,
    failure: Option<Failure>,
    /// DAG files that were written and not read yet.
    unread: BTreeSet<String>,
    /// DAG files that do not import, and why.
    broken: BTreeMap<String, String>,
}

/// What may come next.
enum News {
    Environment(Option<Box<Environment>>),
    Report(Report),
    Note(Note),
    Event(Option<Value>),
    Ended(bool),
}

impl Follow {
    pub(super) fn new(
        said: (Progress, Value),
        client: Client,
        running: &mut Running,
        own: Option<&EnvironmentName>,
    ) -> Follow {
        let (progress, ready) = said;
        // What has no environment has nobody to say anything.
        let (_, silence) = mpsc::unbounded_channel();
        Follow {
            client,
            progress,
            ready,
            own: own.cloned(),
            environment: own.and_then(|name| running.environments.watch(name)),
            reports: std::mem::replace(&mut running.reports, running.environments.reports()),
            notes: std::mem::replace(&mut running.notes, silence),
            told: false,
            failure: None,
            unread: BTreeSet::new(),
            broken: BTreeMap::new(),
        }
    }

    /// Tells what happens until there is a reason to stop.
    pub(super) async fn run(&mut self, running: &mut Running, state: &Path) -> End {
        let mut events = self.client.events().await.ok();
        if let Some(environment) = &mut self.environment {
            // It may have got there before we looked.
            environment.mark_changed();
        } else {
            self.tell_ready();
        }
        loop {
            match self.next(running, &mut events).await {
                News::Environment(now) => {
                    if let Some(end) = self.environment_is(now) {
                        return end;
                    }
                }
                News::Report(report) => self.progress.report(&report),
                News::Note(note) => {
                    self.note(&note);
                    if let Some(failure) = disappeared(&note, state) {
                        self.failure = Some(failure);
                        return End::Failed;
                    }
                }
                News::Event(Some(event)) => self.event(&event),
                News::Event(None) => events = None,
                News::Ended(panicked) => return if panicked { End::Panic } else { End::Asked },
            }
        }
    }

    /// What is left when following has ended.
    pub(super) fn finish(self) -> (Progress, Option<Failure>) {
        (self.progress, self.failure)
    }

    async fn next(&mut self, running: &mut Running, events: &mut Option<Events>) -> News {
        // Reports first: a stage's end is told before the status that follows from it.
        tokio::select! {
            biased;
            report = heard(&mut self.reports, self.own.as_ref()) => News::Report(report),
            Some(note) = self.notes.recv() => News::Note(note),
            now = changed(&mut self.environment) => News::Environment(now.map(Box::new)),
            event = following(events) => News::Event(event),
            panicked = running.ended() => News::Ended(panicked),
        }
    }

    /// Takes in what the project's environment has become.
    fn environment_is(&mut self, now: Option<Box<Environment>>) -> Option<End> {
        let Some(now) = now else {
            self.progress.say("the environment was deleted", None);
            self.environment = None;
            return None;
        };
        let failed = now.last_update.status == UpdateStatus::Failed;
        match now.status {
            Status::Available => self.available(&now),
            Status::UpdateFailed => {
                self.warn(&now, "the last good environment goes on running");
                self.available(&now);
            }
            Status::CreateFailed => return Some(self.failed(&now)),
            Status::Unavailable if failed && !self.told => return Some(self.failed(&now)),
            Status::Unavailable => {
                self.warn(&now, "it is launched again soon; `windtunnel restart` does it now");
            }
            Status::Creating
            | Status::Updating
            | Status::CreatingSnapshot
            | Status::RollingBack
            | Status::Deleting
            | Status::Deleted => {}
        }
        None
    }

    fn available(&mut self, now: &Environment) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.progress.quiet();
        let available = json!({
            "available": now.spec.name,
            "status": if now.status == Status::Available { "AVAILABLE" } else { "UPDATE_FAILED" },
            "webserver_url": now.web.map(|address| format!("localhost:{}", address.port())),
            "airflow_version": now.spec.airflow_version,
            "bucket": now.spec.bucket,
            "seconds": self.progress.elapsed().as_secs_f64(),
        });
        self.tell(&available);
    }

    fn tell_ready(&mut self) {
        if !self.progress.speaks_json() {
            self.tell(&Value::Null);
        }
    }

    fn tell(&self, available: &Value) {
        if self.progress.speaks_json() {
            self.progress.say("", Some(available.clone()));
        } else {
            terminal::result(&summary(&self.ready, available, "Ctrl-C stops it."));
        }
    }

    fn failed(&mut self, now: &Environment) -> End {
        self.failure = Some(reason(now, "cannot start the environment").code(NO));
        End::Failed
    }

    fn warn(&self, now: &Environment, next: &str) {
        let warning = reason(now, "the environment is in trouble");
        let text = warning.to_string().replacen("error:", "warning:", 1) + "\n       " + next;
        self.progress.say(&text, Some(json!({ "warning": warning.json()["error"] })));
    }

    fn note(&self, note: &Note) {
        match note {
            Note::Mirror(note) => {
                if let Some(line) = said(note) {
                    self.progress.say(&line, Some(json!({ "note": line })));
                }
            }
            Note::Delivering(_) => {}
        }
    }

    /// Takes in an event of the journal.
    fn event(&mut self, event: &Value) {
        let key = event["key"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("ObjectWritten") => drop(self.unread.insert(key)),
            Some("ObjectDeleted") => {
                self.unread.remove(&key);
                if self.broken.remove(&key).is_some() {
                    self.progress.say(&format!("{key} is gone"), Some(json!({ "mended": key })));
                }
            }
            Some("DagParsed") => {
                let own = self.own.as_ref().map(EnvironmentName::as_str);
                if event["environment"].as_str() == own {
                    self.parsed(&key, event);
                }
            }
            Some(_) | None => {}
        }
    }

    fn parsed(&mut self, key: &str, event: &Value) {
        let written = self.unread.remove(key);
        if let Some(error) = event["error"].as_str() {
            if self.broken.insert(key.to_owned(), error.to_owned()).as_deref() != Some(error) {
                let value = json!({ "import_error": { "key": key, "message": error } });
                self.progress.say(error, Some(value));
            }
            return;
        }
        let seconds = event["tookMs"].as_f64().unwrap_or(0.0) / 1000.0;
        if self.broken.remove(key).is_some() {
            self.progress.say(&format!("{key} imports again"), Some(json!({ "mended": key })));
        } else if written && self.told {
            let line = format!("{key} is in Airflow after {seconds:.2} s");
            self.progress.say(&line, Some(json!({ "parsed": key, "seconds": seconds })));
        }
    }
}

/// The next report of the project's own environment; never, once nobody can report any more.
async fn heard(
    reports: &mut broadcast::Receiver<(EnvironmentName, Report)>,
    own: Option<&EnvironmentName>,
) -> Report {
    loop {
        match reports.recv().await {
            Ok((name, report)) if Some(&name) == own => return report,
            // Of an environment that was created through the API: whoever did it asks the API. And progress that
            // nobody saw in time is no loss.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The environment after its next change; never, where there is none.
async fn changed(
    environment: &mut Option<watch::Receiver<Option<Environment>>>,
) -> Option<Environment> {
    let Some(watched) = environment else { return std::future::pending().await };
    match watched.changed().await {
        Ok(()) => watched.borrow_and_update().clone(),
        Err(_) => None,
    }
}

/// The next event, or `None` for the stream's end; never, where there is no stream.
async fn following(events: &mut Option<Events>) -> Option<Value> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

/// The environment's own words about its failure, taken apart into what, why and what next.
fn reason(now: &Environment, otherwise: &str) -> Failure {
    let Some((_, message)) = &now.last_update.error else {
        return Failure::new(format!("{otherwise} `{}`", now.spec.name)).next(settle::LOG_HINT);
    };
    parted(message)
}

/// `what: why; next` as the three parts of a failure.
fn parted(message: &str) -> Failure {
    let (what, rest) = message.split_once(": ").unwrap_or((message, ""));
    let (why, next) = rest.rsplit_once("; ").unwrap_or((rest, settle::LOG_HINT));
    Failure::new(what).why(why).next(next)
}

/// Whether more than the DAGs has gone: without its state folder nothing can be kept, so nothing should go on.
fn disappeared(note: &Note, state: &Path) -> Option<Failure> {
    let folder_gone = matches!(note, Note::Mirror(mirror::Note::FolderGone(_)));
    (folder_gone && !state.is_dir()).then(|| {
        Failure::new("the project's folder has disappeared")
            .why(format!("{} is not there any more; everything was stopped", state.display()))
            .next("put the folder back; `windtunnel up` goes on from what was kept")
            .code(NO)
    })
}

/// What the mirror has to say to a person; nothing about what went as it should.
fn said(note: &mirror::Note) -> Option<String> {
    match note {
        mirror::Note::Mirrored { written, artefacts, .. } => {
            let pinned = [&artefacts.requirements, &artefacts.plugins, &artefacts.startup_script];
            let changed = pinned.into_iter().flatten().map(|(key, _)| key);
            let changed: Vec<&str> =
                changed.filter(|key| written.contains(key)).map(ObjectKey::as_str).collect();
            // As on MWAA: a new version of these changes nothing until the environment is told to take it.
            (!changed.is_empty())
                .then(|| format!("{} changed; `windtunnel restart` takes it", changed.join(", ")))
        }
        mirror::Note::FolderGone(path) => Some(format!(
            "warning: {} has gone; its objects stay, and it is followed again when it is back",
            path.display()
        )),
        mirror::Note::FolderBack(path) => Some(format!("{} is back", path.display())),
        mirror::Note::Skipped { path, why } => {
            Some(format!("warning: {} is not mirrored: {why}", path.display()))
        }
        mirror::Note::Unwatched { why } => Some(format!(
            "warning: changes are not notified ({why}); the folder is looked at every few seconds"
        )),
        mirror::Note::Failed { why } => Some(format!("warning: cannot mirror the project: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environments_failure_is_taken_apart() {
        let message = "cannot install requirements/requirements.txt: no version of `nosuch` exists; \
            correct line 3";
        insta::assert_snapshot!(parted(message), @r"
        error: cannot install requirements/requirements.txt
          why: no version of `nosuch` exists
         next: correct line 3
        ");
        insta::assert_snapshot!(parted("it broke"), @r"
        error: it broke
         next: .windtunnel/windtunnel.log has more
        ");
    }
}
