//! The work of a driver: what must be there before components start, their start, and their removal.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::fs;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::lines::Lines;
use super::phase::{Fact, Fault};
use super::{Pinned, Spec, Surroundings, Wish};
use crate::airflow::classes::class_of;
use crate::airflow::{self, Recipe};
use crate::id::{EnvironmentName, LaunchId, ObjectKey, QueueName};
use crate::limits::{CELERY_VISIBILITY_SECONDS, STOP_GRACE_SECONDS};
use crate::metrics;
use crate::runtime::{
    Artefact, Broker, LaunchError, LaunchPlan, Life, Progress, Replacement, Report, Runtime,
    Secrets, Stage, Statsd,
};

/// One launch, with everything it needs.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) around: Arc<Surroundings>,
    pub(super) reports: broadcast::Sender<(EnvironmentName, Report)>,
    /// What the driver hears before the end.
    pub(super) tell: mpsc::Sender<Fact>,
    pub(super) id: LaunchId,
    pub(super) spec: Spec,
    pub(super) replacement: Replacement,
    pub(super) queue: String,
    pub(super) secrets: Secrets,
    pub(super) web: SocketAddr,
}

impl Launch {
    /// Brings up what is described. The runtime replaces what runs, or keeps it where that fails.
    pub(super) async fn run(self) -> Fact {
        let (launch, name) = (self.id, self.spec.name.clone());
        let runtime = Arc::clone(&self.around.runtime);
        match self.attempt().await {
            Ok(()) => Fact::Launched(launch),
            Err(fault) => {
                let still = running(&*runtime, &name);
                Fact::LaunchFailed { launch, fault, still }
            }
        }
    }

    async fn attempt(self) -> Result<(), Fault> {
        let runtime = Arc::clone(&self.around.runtime);
        let recipe = airflow::recipe(&self.spec.airflow_version).ok_or_else(|| {
            let version = &self.spec.airflow_version;
            configuration(format!("Airflow {version} is not supported by this windtunnel"))
        })?;
        self.prepare_queue().await?;
        let plan = self.plan(recipe).await?;
        let Launch { reports, tell, id, spec: Spec { name, .. }, .. } = self;
        let progress = Progress::new(move |report| {
            if let Some(fact) = fact_of(id, &report) {
                // A fact that finds no room is a status that nobody sees.
                drop(tell.try_send(fact));
            }
            // Nobody may be listening, which is as well.
            drop(reports.send((name.clone(), report)));
        });
        runtime.launch(plan, progress).await.map_err(launch_fault)
    }

    /// The Celery queue. Where nothing runs, nothing in it is in flight either: its receivers are gone.
    async fn prepare_queue(&self) -> Result<(), Fault> {
        let queues = &self.around.queues;
        let queue = queue_name(&self.queue);
        queues.ensure(&queue, CELERY_VISIBILITY_SECONDS).await.map_err(|e| internal(&e))?;
        if running(&*self.around.runtime, &self.spec.name).is_none() {
            queues.release_in_flight(&queue).await.map_err(|e| internal(&e))?;
        }
        Ok(())
    }

    async fn plan(&self, recipe: &'static Recipe) -> Result<LaunchPlan, Fault> {
        let Launch { around, spec, queue, .. } = self;
        let home = around.home.join(spec.name.as_str());
        let dags = home.join("dags");
        fs::create_dir_all(&dags).await.map_err(|error| disk("make", &dags, &error))?;
        let aws = around.aws.clone();
        let class = class_of(&spec.class);
        let (workers, max_workers) = class.workers((spec.min_workers, spec.max_workers));
        let lines = Lines {
            logs: around.logs.clone(),
            clock: around.clock.clone(),
            environment: spec.name.clone(),
            levels: spec.logging.levels(),
        };
        lines.make_groups().await.map_err(|error| internal(&error))?;
        let queue_url = format!("{}/{}/{queue}", aws.endpoint_url, aws.account);
        Ok(LaunchPlan {
            environment: spec.name.clone(),
            launch: self.id,
            recipe,
            class: spec.class.clone(),
            workers,
            max_workers,
            requirements: self.fetch(spec.requirements.as_ref(), "requirements.txt").await?,
            plugins: self.fetch(spec.plugins.as_ref(), "plugins.zip").await?,
            startup_script: self.fetch(spec.startup_script.as_ref(), "startup.sh").await?,
            home,
            dags,
            options: spec.options.clone(),
            variables: spec.variables.clone(),
            aws,
            broker: Broker { address: around.aws_address, queue_name: queue.clone(), queue_url },
            statsd: Statsd {
                address: around.statsd,
                prefix: metrics::statsd_prefix(spec.name.as_str(), recipe.version),
            },
            base_url: format!("https://localhost:{}", self.web.port()),
            secrets: self.secrets.clone(),
            replacement: self.replacement,
            logging: spec.logging.levels(),
            lines: Arc::new(lines),
        })
    }

    /// Copies a pinned object out of the bucket, to a name of ours: a key never becomes a path.
    async fn fetch(
        &self,
        pinned: Option<&Pinned>,
        file_name: &'static str,
    ) -> Result<Option<Artefact>, Fault> {
        let Some(Pinned { path, version }) = pinned else { return Ok(None) };
        let Launch { around, spec, .. } = self;
        let unreadable = |why: &(dyn Error + 'static)| {
            let bucket = &spec.bucket;
            configuration(format!(
                "cannot read version {version} of s3://{bucket}/{path}: {}; name a version that exists",
                causes(why)
            ))
        };
        let key = ObjectKey::parse(path.as_str()).map_err(|error| unreadable(&error))?;
        let found = around.objects.version(&spec.bucket, &key, Some(version)).await;
        let found = found.map_err(|error| unreadable(&error))?;
        let bytes = around.objects.read_all(&found).await.map_err(|error| unreadable(&error))?;
        let folder = around.home.join(spec.name.as_str()).join("artefacts");
        let file = folder.join(file_name);
        write_whole(&folder, &file, &bytes).await.map_err(|error| disk("write", &file, &error))?;
        Ok(Some(Artefact { path: file, label: path.clone() }))
    }
}

/// Removes components, queue and files of an environment. Bucket and logs stay, as MWAA leaves them.
pub(super) async fn remove(around: &Surroundings, name: &EnvironmentName, queue: String) -> Fact {
    let (done, left) = oneshot::channel();
    let wish = Wish::Leave { environment: name.clone(), done };
    if around.wishes.send(wish).await.is_ok() {
        // An answer that never comes means that windtunnel is stopping, and serves nobody any more.
        drop(left.await);
    }
    around.runtime.stop(name, Duration::from_secs(STOP_GRACE_SECONDS)).await;
    if let Err(error) = around.queues.remove(&queue_name(&queue)).await {
        return Fact::RemovalFailed(internal(&error));
    }
    let home = around.home.join(name.as_str());
    match fs::remove_dir_all(&home).await {
        Ok(()) => Fact::Removed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fact::Removed,
        Err(error) => Fact::RemovalFailed(disk("remove", &home, &error)),
    }
}

/// What a report says about the environment's status.
fn fact_of(launch: LaunchId, report: &Report) -> Option<Fact> {
    match report {
        Report::Began(Stage::Snapshot) => Some(Fact::Snapshotting(launch)),
        Report::Done { stage: Stage::Snapshot, .. } => Some(Fact::Snapshotted(launch)),
        Report::Began(_) | Report::Said(..) | Report::Done { .. } => None,
    }
}

pub(super) fn running(runtime: &dyn Runtime, name: &EnvironmentName) -> Option<LaunchId> {
    match &*runtime.life(name).borrow() {
        Life::Running(launch) => Some(*launch),
        Life::Stopped | Life::Lost { .. } => None,
    }
}

fn queue_name(queue: &str) -> QueueName {
    QueueName::parse(queue).expect("`airflow-celery-` and a uuid make a queue name")
}

async fn write_whole(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder).await?;
    let mut fresh = PathBuf::from(file);
    fresh.as_mut_os_string().push(".new");
    fs::write(&fresh, bytes).await?;
    fs::rename(&fresh, file).await
}

fn launch_fault(error: LaunchError) -> Fault {
    let LaunchError { what, why, next, detail } = error;
    if !detail.is_empty() {
        tracing::debug!(what, detail, "why the launch failed");
    }
    let next = if next.is_empty() { next } else { format!("; {next}") };
    configuration(format!("{what}: {why}{next}"))
}

fn configuration(message: String) -> Fault {
    Fault { code: "INCORRECT_CONFIGURATION", message }
}

fn internal(error: &(dyn Error + 'static)) -> Fault {
    Fault { code: "INTERNAL_ERROR", message: causes(error) }
}

/// An error and what is behind it, in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn disk(verb: &str, path: &Path, error: &io::Error) -> Fault {
    let message = format!("cannot {verb} {}: {error}", path.display());
    Fault { code: "INTERNAL_ERROR", message }
}
