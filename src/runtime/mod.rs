//! Runs the components of an Airflow environment. Speaks of components, never of containers or processes.
//!
//! Promise: a launch that fails or is dropped leaves nothing running; what runs is found again or cleaned up by the
//! next start, however the last one ended.
//! Not here: AWS's names for any of it; S3 (artefacts arrive as local files); what status an environment has.

pub mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::airflow::logging::{Levels, Module};
use crate::airflow::{Component, Recipe};
use crate::id::{EnvironmentName, LaunchId, ReceiverName};

/// Everything a launch needs, resolved: local files, addresses, secrets.
#[derive(Clone, Debug)]
pub struct LaunchPlan {
    pub environment: EnvironmentName,
    pub launch: LaunchId,
    pub recipe: &'static Recipe,
    /// For example `mw1.small`.
    pub class: String,
    /// Workers to start with.
    pub workers: u32,
    /// The most there may ever be of this launch, for what Airflow derives from it.
    pub max_workers: u32,
    /// The environment's own folder below `.windtunnel`: its database, logs, plugins.
    pub home: PathBuf,
    /// Filled and kept up to date by `delivery`.
    pub dags: PathBuf,
    pub requirements: Option<Artefact>,
    /// plugins.zip.
    pub plugins: Option<Artefact>,
    pub startup_script: Option<Artefact>,
    /// `AirflowConfigurationOptions`: `section.key` to value.
    pub options: BTreeMap<String, String>,
    /// Variables of the project's `.env`.
    pub variables: BTreeMap<String, String>,
    pub aws: AwsAccess,
    pub broker: Broker,
    pub statsd: Statsd,
    /// What Airflow should call itself in links: `https://localhost:8080`.
    pub base_url: String,
    pub secrets: Secrets,
    /// How what runs before gives way.
    pub replacement: Replacement,
    pub logging: Levels,
    /// Where the components' lines go.
    pub lines: Arc<dyn LineSink>,
}

/// What becomes of the workers that are busy when an environment is launched over one that runs
/// (MWAA API reference, `WorkerReplacementStrategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replacement {
    /// They are stopped; their tasks are retried by Airflow's own rules.
    #[default]
    Forced,
    /// They finish their tasks with the old code, while new workers take the new ones.
    Graceful,
}

/// Takes what components say, line by line.
#[async_trait]
pub trait LineSink: fmt::Debug + Send + Sync {
    /// Keeps lines of one module in a stream of this name. Returns when they are kept, or cannot be.
    async fn write(&self, module: Module, stream: String, lines: Vec<String>);
}

/// A file that was fetched from the bucket, and what to call it when it is at fault.
#[derive(Clone, Debug)]
pub struct Artefact {
    pub path: PathBuf,
    /// Where a person finds it: `requirements/requirements.txt`.
    pub label: String,
}

/// How code inside the environment reaches our AWS endpoint.
#[derive(Clone)]
pub struct AwsAccess {
    /// `http://127.0.0.1:4570`.
    pub endpoint_url: String,
    pub region: String,
    pub account: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// System roots and the local CA in one file.
    pub ca_bundle: PathBuf,
}

/// The Celery queue.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Host and port of the SQS endpoint.
    pub address: SocketAddr,
    pub queue_name: String,
    pub queue_url: String,
}

/// Where Airflow sends its metrics, and what their names begin with.
#[derive(Clone, Debug)]
pub struct Statsd {
    pub address: SocketAddr,
    pub prefix: String,
}

/// Made once per environment and kept: changing one breaks connections, sessions or tasks.
#[derive(Clone)]
pub struct Secrets {
    /// 32 bytes in URL-safe base64.
    pub fernet_key: String,
    pub web_secret_key: String,
    /// What our proxy proves itself to Airflow's web server with.
    pub proxy_secret: String,
}

/// A step of a launch that a person waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Python, uv and PostgreSQL's files.
    Tools,
    /// The base interpreter environment of the Airflow version.
    Install,
    /// The project's requirements.
    Requirements,
    /// The metadata database, copied aside before a version change.
    Snapshot,
    /// PostgreSQL, with a migrated database.
    Database,
    StartupScript,
    /// The warm interpreter.
    Interpreter,
    /// Every component up and healthy.
    Components,
}

impl Stage {
    /// What a person reads.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Tools => "tools",
            Stage::Install => "install Airflow",
            Stage::Requirements => "requirements",
            Stage::Snapshot => "database snapshot",
            Stage::Database => "database",
            Stage::StartupScript => "startup script",
            Stage::Interpreter => "warm interpreter",
            Stage::Components => "components",
        }
    }
}

/// What is said about a stage. A stage may run beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Began(Stage),
    /// A line to show or to keep: an installer's last words, a warning.
    Said(Stage, String),
    Done {
        stage: Stage,
        took: Duration,
        cached: bool,
    },
}

/// Where a launch reports to. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Report) + Send + Sync>);

impl Progress {
    pub fn new(tell: impl Fn(Report) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(tell))
    }

    /// For who does not care.
    pub fn silent() -> Progress {
        Progress::new(|_| ())
    }

    pub fn tell(&self, report: Report) {
        (self.0)(report);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// Why a launch failed. Nothing of it is running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct LaunchError {
    /// What could not be done, for example `cannot install requirements/requirements.txt`.
    pub what: String,
    /// The reason, one line: the tool's own words where it has good ones.
    pub why: String,
    /// What to do next.
    pub next: String,
    /// More lines for who wants them (an installer's output). May be empty.
    pub detail: String,
}

/// Whether an environment's components run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    Stopped,
    Running(LaunchId),
    /// They ran and cannot be brought back.
    Lost {
        launch: LaunchId,
        why: String,
    },
}

/// What a finished command printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The exit status; 128 + the signal's number where a signal ended it.
    pub code: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("environment `{0}` is not running")]
    NotRunning(EnvironmentName),
    #[error("the command was still running after {0:?} and was stopped")]
    Deadline(Duration),
    #[error("the warm interpreter could not be asked")]
    Interpreter(#[source] std::io::Error),
}

/// Dag files that changed, as paths below the plan's `dags`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DagChanges {
    pub written: Vec<PathBuf>,
    pub removed: Vec<PathBuf>,
}

/// What Airflow made of one dag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Below the plan's `dags`.
    pub path: PathBuf,
    pub dag_ids: Vec<String>,
    pub took: Duration,
    pub error: Option<ImportError>,
}

/// Why a dag file does not import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// The exception's last line: `NameError: name 'x' is not defined`.
    pub message: String,
    /// The user's own frame nearest to the fault, below `dags` where it lies there.
    pub file: PathBuf,
    pub line: u32,
    pub traceback: String,
}

/// Where Airflow's own web server listens, for the proxy in front of it.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    pub proxy_secret: String,
}

/// One component as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentState {
    pub component: Component,
    /// Of workers.
    pub number: Option<u32>,
    /// A worker that is to end once it has finished what it runs.
    pub leaving: bool,
    pub pid: Option<u32>,
    /// Times it was started again after an unexpected end.
    pub restarts: u32,
    pub log: PathBuf,
}

/// What a component takes of the machine, with everything that it has started.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    pub component: Component,
    /// Of workers.
    pub number: Option<u32>,
    pub pid: u32,
    /// Processor time since it began.
    pub cpu_seconds: f64,
    /// Its share of memory that it has in common with others included.
    pub memory_bytes: u64,
}

/// One worker, from one start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// What it calls itself to the queue. Started again, it is another.
    pub id: ReceiverName,
    pub launch: LaunchId,
    /// Counts from 1. Free ones are used again.
    pub number: u32,
    /// Tasks that it runs at once.
    pub slots: u32,
    /// Whether it is to end once it has finished what it runs.
    pub leaving: bool,
    /// `None` while it is being started.
    pub pid: Option<u32>,
    pub restarts: u32,
    pub log: PathBuf,
}

impl Worker {
    /// `worker-1`.
    pub fn name(&self) -> String {
        instance(Component::Worker, Some(self.number))
    }
}

/// What a component is called where there are several of its kind: `scheduler`, `worker-2`.
fn instance(component: Component, number: Option<u32>) -> String {
    match number {
        None => component.name().to_owned(),
        Some(number) => format!("{component}-{number}"),
    }
}

impl ComponentState {
    /// `scheduler`, `worker-2`.
    pub fn name(&self) -> String {
        instance(self.component, self.number)
    }
}

/// Runs environments. Two are real: processes, and (later) containers.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync {
    /// Cleans up what an earlier windtunnel of this project left running. Called once, before any launch.
    async fn sweep(&self) -> std::io::Result<()>;
    /// Brings every component up and healthy. On `Err`, or if dropped, none is left running.
    async fn launch(&self, plan: LaunchPlan, progress: Progress) -> Result<(), LaunchError>;
    /// Stops everything of this environment; after `grace`, by force. Idempotent.
    async fn stop(&self, environment: &EnvironmentName, grace: Duration);
    /// Runs `airflow <argv>` as a command beside the web server. No shell is involved.
    async fn exec(
        &self,
        environment: &EnvironmentName,
        argv: Vec<String>,
        deadline: Duration,
    ) -> Result<Output, ExecError>;
    /// Has Airflow read these dag files now and write what it finds to its database.
    async fn parse(
        &self,
        environment: &EnvironmentName,
        changes: DagChanges,
    ) -> Result<Vec<Parsed>, ExecError>;
    /// Where Airflow's web server is, while it runs.
    fn upstream(&self, environment: &EnvironmentName) -> Option<Upstream>;
    /// Whether the components run, and word of every change of that.
    fn life(&self, environment: &EnvironmentName) -> watch::Receiver<Life>;
    /// The components of a running environment; empty otherwise.
    fn components(&self, environment: &EnvironmentName) -> Vec<ComponentState>;
    /// What the components of a running environment take of the machine, as far as it tells.
    async fn usage(&self, environment: &EnvironmentName) -> Vec<Usage>;
    /// The workers that are there, those on their way out too, and word of every change.
    fn workers(&self, environment: &EnvironmentName) -> watch::Receiver<Vec<Worker>>;
    /// Has the workers of these ids finish what they run and then end, and starts others until `workers` stay. Where
    /// more stay than that, they stay. Answers at once.
    fn scale(&self, environment: &EnvironmentName, workers: u32, leaving: &[ReceiverName]);
}

impl fmt::Debug for AwsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAccess")
            .field("endpoint_url", &self.endpoint_url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("address", &self.address).finish_non_exhaustive()
    }
}
