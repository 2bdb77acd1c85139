//! The life of environments: their description, their phase, and the work that moves it.
//!
//! Promise: one task owns the phase of one environment; a request is refused or accepted at once, and the work it
//! starts delays no answer. A phase is on disk before anybody hears of it.
//! Not here: AWS's JSON (`api::mwaa`), how components are run (`runtime`), files from the bucket to the dags
//! directory (`delivery`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Schema};
use crate::id::{BucketName, EnvironmentName, VersionId};
use crate::objects::Objects;
use crate::queues::Queues;
use crate::runtime::{AwsAccess, Report, Runtime};

pub const SCHEMA: Schema = Schema { room: "environment", steps: &[] };

/// What an environment was asked to be: CreateEnvironment's members, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub path: String,
    pub version: VersionId,
}

/// The five modules, in the order dag processing, scheduler, task, web server, worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging(pub [ModuleLogging; 5]);

#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub runtime: Arc<dyn Runtime>,
    /// `.windtunnel/environments`.
    pub home: PathBuf,
    pub aws: AwsAccess,
    pub aws_address: SocketAddr,
    /// Asks `daemon` to listen for an environment's web server, before the launch, so that its address is known.
    pub web: mpsc::Sender<BindWeb>,
}

/// A wish for a web server listener. The daemon serves it until the environment is gone.
#[derive(Debug)]
pub struct BindWeb {
    pub environment: EnvironmentName,
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
    #[error("environment `{name}` cannot be {verb} while it is {status:?}")]
    Refused { name: EnvironmentName, verb: &'static str, status: Status },
    /// A pinned object cannot be read, the version is not supported, …
    #[error("{0}")]
    Invalid(String),
    #[error("the environment index failed")]
    Index(#[from] rusqlite::Error),
}

/// All environments of one windtunnel.
#[derive(Clone, Debug)]
pub struct Environments {
    inner: Arc<Surroundings>,
}

impl Environments {
    /// Reads what is on disk and starts a driver for each. Environments that ran are launched again only by
    /// [`Environments::resume`].
    pub async fn open(surroundings: Surroundings) -> Result<Environments, RequestError> {
        Ok(Environments { inner: Arc::new(surroundings) })
    }

    /// Accepts the environment and starts its creation; returns before it is done.
    pub async fn create(&self, spec: Spec) -> Result<(), RequestError> {
        todo!("{spec:?} {:?}", self.inner)
    }

    /// Launches an environment that is on disk but not running, with `spec` where that is given (the project's files
    /// changed since).
    pub async fn resume(
        &self,
        name: &EnvironmentName,
        spec: Option<Spec>,
    ) -> Result<(), RequestError> {
        todo!("{name} {spec:?}")
    }

    pub async fn delete(&self, name: &EnvironmentName) -> Result<(), RequestError> {
        todo!("{name}")
    }

    pub fn get(&self, name: &EnvironmentName) -> Option<Environment> {
        todo!("{name}")
    }

    /// In name order.
    pub fn list(&self) -> Vec<EnvironmentName> {
        todo!()
    }

    /// An environment and every change of it; `None` in it once it is gone.
    pub fn watch(&self, name: &EnvironmentName) -> Option<watch::Receiver<Option<Environment>>> {
        todo!("{name}")
    }

    /// What launches say, for who shows progress.
    pub fn reports(&self) -> broadcast::Receiver<(EnvironmentName, Report)> {
        todo!()
    }

    /// Stops all components; the environments stay on disk as they are and can be resumed.
    pub async fn shutdown(&self) {
        todo!()
    }
}
