//! The life of environments: their description, their phase, and the work that moves it.
//!
//! Promise: one task owns the phase of one environment; a request is refused or accepted at once, and the work it
//! starts delays no answer. A phase is on disk before anybody hears of it.
//! Not here: AWS's JSON (`api::mwaa`), how components are run (`runtime`), files from the bucket to the dags
//! directory (`delivery`).
//!
//! What ran and was lost is `UNAVAILABLE`, and launched again by itself, after longer and longer waits.
//!
//! What a restart of windtunnel does to a status: an environment that ran is `UNAVAILABLE` until it is resumed,
//! `UPDATING` while it is launched again, and `AVAILABLE` after; one that was being created is `CREATING` throughout;
//! a deletion goes on by itself. (On MWAA environments outlive everybody's laptop, so AWS has no word for this.)

mod change;
mod driver;
mod launch;
mod lines;
mod phase;
mod scaling;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::airflow::logging::{Level, Levels};
use crate::airflow::{self, Recipe};
use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Schema};
use crate::id::{BucketName, EnvironmentName, VersionId};
use crate::limits::{ENVIRONMENT_ASKS_MAX, LAUNCH_REPORTS_KEPT};
use crate::logs::Logs;
use crate::objects::Objects;
use crate::queues::Queues;
use crate::runtime::{AwsAccess, Replacement, Report, Runtime};
pub use change::Change;
use driver::{Driver, Start};
use phase::Request;
use scaling::Autoscaler;
pub use scaling::Work;

/// The tables of this room.
pub const SCHEMA: Schema = store::SCHEMA;

/// What an environment was asked to be: `CreateEnvironment`'s members, checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub name: EnvironmentName,
    pub airflow_version: String,
    pub class: String,
    pub min_workers: u32,
    pub max_workers: u32,
    pub schedulers: u32,
    pub min_webservers: u32,
    pub max_webservers: u32,
    pub bucket: BucketName,
    /// Without a leading or trailing slash.
    pub dag_path: String,
    pub plugins: Option<Pinned>,
    pub requirements: Option<Pinned>,
    pub startup_script: Option<Pinned>,
    pub options: BTreeMap<String, String>,
    /// The project's `.env`; nothing AWS knows of.
    pub variables: BTreeMap<String, String>,
    pub execution_role_arn: String,
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
    pub kms_key: Option<String>,
    pub logging: Logging,
    pub maintenance_window: String,
    pub access_mode: String,
    pub endpoint_management: String,
    pub tags: BTreeMap<String, String>,
}

/// An object at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub path: String,
    pub version: VersionId,
}

/// The five modules, in the order dag processing, scheduler, task, web server, worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging(pub [ModuleLogging; 5]);

impl Logging {
    /// What Airflow is told of it.
    fn levels(&self) -> Levels {
        Levels(
            self.0.clone().map(|ModuleLogging { enabled, level }| Level { enabled, name: level }),
        )
    }
}

/// Whether a module writes task or component logs, and from which level on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleLogging {
    pub enabled: bool,
    pub level: String,
}

/// MWAA's statuses (API reference, Environment).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Creating,
    CreateFailed,
    Available,
    Updating,
    /// The database is being copied aside, before a version change.
    CreatingSnapshot,
    UpdateFailed,
    RollingBack,
    Unavailable,
    Deleting,
    Deleted,
}

/// An environment as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub spec: Spec,
    pub status: Status,
    pub created: Timestamp,
    pub last_update: LastUpdate,
    /// Our web server for it. `None` until one is bound.
    pub web: Option<SocketAddr>,
    /// The Celery queue's name: `airflow-celery-<uuid>`.
    pub queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUpdate {
    pub status: UpdateStatus,
    pub at: Timestamp,
    /// Code and message.
    pub error: Option<(String, String)>,
    pub replacement: Replacement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateStatus {
    Success,
    Pending,
    Failed,
}

/// What the rooms below and beside are, handed in once by `daemon`.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub db: Db,
    pub clock: Clock,
    pub objects: Objects,
    pub queues: Queues,
    pub logs: Logs,
    pub runtime: Arc<dyn Runtime>,
    /// `.windtunnel/environments`.
    pub home: PathBuf,
    pub aws: AwsAccess,
    pub aws_address: SocketAddr,
    /// Where Airflow's metrics go.
    pub statsd: SocketAddr,
    /// Asks `daemon` to serve an environment, before the launch, so that its address is known and its DAGs are there.
    pub wishes: mpsc::Sender<Wish>,
}

/// What an environment wants of the daemon's outer rooms.
#[derive(Debug)]
pub enum Wish {
    /// To be served, before a launch.
    Serve(Serve),
    /// To be served no longer. Answered when nothing writes into its folder any more.
    Leave { environment: EnvironmentName, done: oneshot::Sender<()> },
}

/// A listener for the web server, and the DAGs of this place in the bucket in the environment's dags directory. Both go
/// on until the environment wants something else.
#[derive(Debug)]
pub struct Serve {
    pub environment: EnvironmentName,
    pub bucket: BucketName,
    pub dag_path: String,
    /// The address it had before, if any.
    pub preferred: Option<SocketAddr>,
    pub answer: oneshot::Sender<std::io::Result<SocketAddr>>,
}

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("environment `{0}` does not exist")]
    NotFound(EnvironmentName),
    #[error("environment `{0}` exists already")]
    Exists(EnvironmentName),
    #[error("environment `{name}` cannot be {verb} while it is {status}")]
    Refused { name: EnvironmentName, verb: &'static str, status: Status },
    #[error(
        "environment `{0}` has never been updated by force, and busy workers are only waited for after that; \
         update it with the replacement strategy FORCED first"
    )]
    NeverForced(EnvironmentName),
    /// The version is not supported, …
    #[error("{0}")]
    Invalid(String),
    #[error("the environment index failed")]
    Index(#[from] rusqlite::Error),
}

/// All environments of one windtunnel. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Environments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    around: Arc<Surroundings>,
    all: Register,
    reports: broadcast::Sender<(EnvironmentName, Report)>,
    drivers: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when a driver panics.
    broken: CancellationToken,
}

/// Every environment's driver, by name. A name is in it from before its first row is written until after the last
/// is gone, so two creations cannot pass one another.
#[derive(Clone, Debug, Default)]
struct Register(Arc<Mutex<BTreeMap<EnvironmentName, Handle>>>);

/// How to reach an environment's driver.
#[derive(Clone, Debug)]
struct Handle {
    asks: mpsc::Sender<Ask>,
    /// `None` before the first row is written and after the last is gone.
    seen: watch::Receiver<Option<Environment>>,
    work: watch::Receiver<Work>,
}

/// A request on its way to a driver.
#[derive(Debug)]
struct Ask {
    request: Request,
    answer: oneshot::Sender<Result<(), RequestError>>,
}

impl Environments {
    /// Reads what is on disk and starts a driver for each. Environments that ran are launched again only by
    /// [`Environments::resume`]; deletions that were cut short go on.
    pub async fn open(surroundings: Surroundings) -> Result<Environments, RequestError> {
        let records = surroundings.db.read(store::all).await?;
        let inner = Inner {
            around: Arc::new(surroundings),
            all: Register::default(),
            reports: broadcast::Sender::new(LAUNCH_REPORTS_KEPT),
            drivers: TaskTracker::new(),
            stop: CancellationToken::new(),
            broken: CancellationToken::new(),
        };
        let environments = Environments { inner: Arc::new(inner) };
        let mut started = Vec::new();
        for record in records {
            let name = record.life.spec.name.clone();
            started.extend(environments.start(&name, Start::Reopen(Box::new(record))));
        }
        for answer in started {
            answer.await.unwrap_or(Ok(()))?;
        }
        Ok(environments)
    }

    /// Accepts the environment and starts its creation; returns before it is done.
    pub async fn create(&self, spec: Spec) -> Result<(), RequestError> {
        supported(&spec.airflow_version)?;
        let name = spec.name.clone();
        let Some(answer) = self.start(&name, Start::Create(Box::new(spec))) else {
            return Err(RequestError::Exists(name));
        };
        answer.await.unwrap_or(Err(RequestError::NotFound(name)))
    }

    /// Launches an environment that is on disk but not running, with `spec` where that is given (the project's files
    /// changed since). One that runs is launched again only if `spec` differs from what it is.
    pub async fn resume(
        &self,
        name: &EnvironmentName,
        spec: Option<Spec>,
    ) -> Result<(), RequestError> {
        if let Some(spec) = &spec {
            // One that its database cannot be taken to fails as an update, and what ran last goes on.
            supported(&spec.airflow_version)?;
        }
        self.ask(name, Request::Resume(spec.map(Box::new))).await
    }

    /// Accepts the change of an environment that runs, and starts it; returns before it is done. What ran before goes on
    /// where the change fails.
    pub async fn update(
        &self,
        name: &EnvironmentName,
        change: Change,
        replacement: Replacement,
    ) -> Result<(), RequestError> {
        if let Some(version) = &change.airflow_version {
            self.can_become(name, version)?;
        }
        self.ask(name, Request::Update(Box::new(change), replacement)).await
    }

    /// Accepts the deletion and starts it; returns before it is done. Deleting twice is deleting once.
    pub async fn delete(&self, name: &EnvironmentName) -> Result<(), RequestError> {
        self.ask(name, Request::Delete).await
    }

    /// Replaces the environment's tags. Nothing is launched again for it.
    pub async fn retag(
        &self,
        name: &EnvironmentName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), RequestError> {
        self.ask(name, Request::Retag(tags)).await
    }

    /// The environment as it is now.
    pub fn get(&self, name: &EnvironmentName) -> Option<Environment> {
        self.inner.all.get(name).and_then(|handle| handle.seen.borrow().clone())
    }

    /// What its workers have to do now, and word of every change of that.
    pub fn work(&self, name: &EnvironmentName) -> Option<watch::Receiver<Work>> {
        self.inner.all.get(name).map(|handle| handle.work)
    }

    /// In name order.
    pub fn list(&self) -> Vec<EnvironmentName> {
        self.inner.all.names()
    }

    /// An environment and every change of it; `None` in it once it is gone.
    pub fn watch(&self, name: &EnvironmentName) -> Option<watch::Receiver<Option<Environment>>> {
        let handle = self.inner.all.get(name)?;
        handle.seen.borrow().is_some().then(|| handle.seen.clone())
    }

    /// What launches say, for who shows progress. A slow listener misses the oldest words.
    pub fn reports(&self) -> broadcast::Receiver<(EnvironmentName, Report)> {
        self.inner.reports.subscribe()
    }

    /// Cancelled when a driver has panicked: windtunnel had better end then, than go on with an environment nobody
    /// watches over.
    pub fn broken(&self) -> CancellationToken {
        self.inner.broken.clone()
    }

    /// Stops all components; the environments stay on disk as they are and can be resumed.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.drivers.close();
        self.inner.drivers.wait().await;
    }

    /// Whether the environment can be taken to this version in place; refused before anything is tried.
    fn can_become(&self, name: &EnvironmentName, version: &str) -> Result<(), RequestError> {
        let recipe = supported(version)?;
        let Some(Environment { spec, .. }) = self.get(name) else { return Ok(()) };
        airflow::versions::move_in_place(&spec.airflow_version, recipe).map_err(|refused| {
            RequestError::Invalid(format!("environment `{name}` keeps its version: {refused}"))
        })
    }

    /// Starts a driver under a name that is free; the answer comes once its first row is on disk.
    fn start(
        &self,
        name: &EnvironmentName,
        start: Start,
    ) -> Option<oneshot::Receiver<Result<(), RequestError>>> {
        let (asks, asked) = mpsc::channel(ENVIRONMENT_ASKS_MAX);
        let ((see, seen), (tell, work)) = (watch::channel(None), watch::channel(Work::default()));
        let autoscaler = Autoscaler {
            around: Arc::clone(&self.inner.around),
            name: name.clone(),
            seen: seen.clone(),
            work: tell,
            stop: self.inner.stop.clone(),
            asked: None,
        };
        if !self.inner.all.enter(name, Handle { asks, seen, work }) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let driver = Driver {
            around: Arc::clone(&self.inner.around),
            all: self.inner.all.clone(),
            reports: self.inner.reports.clone(),
            stop: self.inner.stop.clone(),
            see,
        };
        let broken = self.inner.broken.clone();
        drop(self.inner.drivers.spawn(async move {
            let breaks = broken.drop_guard();
            tokio::join!(driver.run(start, asked, answer), autoscaler.run());
            breaks.disarm();
        }));
        Some(answered)
    }

    async fn ask(&self, name: &EnvironmentName, request: Request) -> Result<(), RequestError> {
        let gone = || RequestError::NotFound(name.clone());
        let handle = self.inner.all.get(name).ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        handle.asks.send(Ask { request, answer }).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Register {
    fn get(&self, name: &EnvironmentName) -> Option<Handle> {
        self.locked().get(name).cloned()
    }

    fn names(&self) -> Vec<EnvironmentName> {
        let locked = self.locked();
        let seen = locked.iter().filter(|(_, handle)| handle.seen.borrow().is_some());
        seen.map(|(name, _)| name.clone()).collect()
    }

    /// Enters a driver, unless there is one of that name.
    fn enter(&self, name: &EnvironmentName, handle: Handle) -> bool {
        let mut locked = self.locked();
        if locked.contains_key(name) {
            return false;
        }
        locked.insert(name.clone(), handle);
        true
    }

    fn leave(&self, name: &EnvironmentName) {
        self.locked().remove(name);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnvironmentName, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is a recipe for the version that is asked for.
fn supported(version: &str) -> Result<&'static Recipe, RequestError> {
    if let Some(recipe) = airflow::recipe(version) {
        return Ok(recipe);
    }
    let known: Vec<_> = airflow::RECIPES.iter().map(|recipe| recipe.version).collect();
    let known = known.join(", ");
    Err(RequestError::Invalid(format!("Airflow {version} is not supported; {known} is")))
}

impl Status {
    /// MWAA's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::CreateFailed => "CREATE_FAILED",
            Status::Available => "AVAILABLE",
            Status::Updating => "UPDATING",
            Status::CreatingSnapshot => "CREATING_SNAPSHOT",
            Status::UpdateFailed => "UPDATE_FAILED",
            Status::RollingBack => "ROLLING_BACK",
            Status::Unavailable => "UNAVAILABLE",
            Status::Deleting => "DELETING",
            Status::Deleted => "DELETED",
        }
    }

    /// Whether Airflow runs and can be asked.
    pub fn is_usable(self) -> bool {
        matches!(self, Status::Available | Status::UpdateFailed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl UpdateStatus {
    /// MWAA's name for it.
    pub fn name(self) -> &'static str {
        match self {
            UpdateStatus::Success => "SUCCESS",
            UpdateStatus::Pending => "PENDING",
            UpdateStatus::Failed => "FAILED",
        }
    }
}

impl fmt::Debug for Spec {
    /// Options and variables hold passwords as often as not, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("airflow_version", &self.airflow_version)
            .field("bucket", &self.bucket)
            .field("requirements", &self.requirements)
            .field("plugins", &self.plugins)
            .field("startup_script", &self.startup_script)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod sample {
    use super::*;

    /// A description with MWAA's defaults.
    pub(super) fn spec(name: &str) -> Spec {
        let module = ModuleLogging { enabled: false, level: "INFO".to_owned() };
        Spec {
            name: EnvironmentName::parse(name).unwrap(),
            airflow_version: "2.10.3".to_owned(),
            class: "mw1.small".to_owned(),
            min_workers: 1,
            max_workers: 10,
            schedulers: 2,
            min_webservers: 2,
            max_webservers: 2,
            bucket: BucketName::parse("bucket").unwrap(),
            dag_path: "dags".to_owned(),
            plugins: None,
            requirements: None,
            startup_script: None,
            options: BTreeMap::new(),
            variables: BTreeMap::new(),
            execution_role_arn: "arn:aws:iam::123456789012:role/mwaa".to_owned(),
            subnet_ids: vec!["subnet-1".to_owned(), "subnet-2".to_owned()],
            security_group_ids: vec!["sg-1".to_owned()],
            kms_key: None,
            logging: Logging(std::array::from_fn(|_| module.clone())),
            maintenance_window: "SUN:00:00".to_owned(),
            access_mode: "PUBLIC_ONLY".to_owned(),
            endpoint_management: "SERVICE".to_owned(),
            tags: BTreeMap::new(),
        }
    }
}
