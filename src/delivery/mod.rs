//! The bucket → an environment's dags directory, and then: has Airflow read it?
//!
//! Promise: the directory holds exactly the current objects below the DAG path, written whole (temp and rename);
//! a key that cannot be a path is reported and never written.
//! Not here: the project's folder (`mirror`); starting Airflow (`environment`).
//!
//! The journal says which keys to look at; a look at everything, now and then, heals what was missed.

mod backlog;
mod disk;
mod follow;
mod plan;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::db::{Db, Schema};
use crate::id::{BucketName, EnvironmentName, ObjectKey};
use crate::objects::{Objects, Version};
use crate::runtime::{DagChanges, ImportError, Runtime};
use disk::Unwritten;
use plan::{Goal, Step};

/// What was delivered, and what Airflow made of it.
pub const SCHEMA: Schema = store::SCHEMA;

/// Delivers one environment's DAGs.
#[derive(Debug)]
pub struct Delivery {
    environment: EnvironmentName,
    bucket: BucketName,
    dag_path: String,
    dags: PathBuf,
    objects: Objects,
    db: Db,
    runtime: Arc<dyn Runtime>,
    sync_interval: Duration,
}

/// Why the dags directory could not be brought up to date. What was done by then is recorded.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("cannot {verb} {path}")]
    Disk { verb: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot read `{what}` in bucket `{bucket}`")]
    Bucket { what: String, bucket: BucketName, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the index of deliveries failed")]
    Index(#[from] rusqlite::Error),
}

/// What Airflow last made of one dag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Below the dags directory.
    pub path: PathBuf,
    pub dag_ids: Vec<String>,
    pub error: Option<ImportError>,
}

/// Every dag file of an environment that has DAGs or does not import, by path.
pub async fn outcomes(db: &Db, environment: &EnvironmentName) -> rusqlite::Result<Vec<Outcome>> {
    let environment = environment.clone();
    db.read(move |connection| store::outcomes(connection, &environment)).await
}

/// Which keys to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Everything,
    Keys(BTreeSet<ObjectKey>),
}

/// What a pass did.
#[derive(Debug, Default)]
struct Synced {
    /// What is new on disk, with the version that it came from.
    written: BTreeMap<String, Version>,
    removed: BTreeSet<String>,
    /// Keys that cannot be files, and why.
    refused: BTreeMap<ObjectKey, &'static str>,
}

impl Delivery {
    /// `dags` is the directory that Airflow reads; `dag_path` where in the bucket the DAGs lie; `sync_interval` how
    /// long a change may wait.
    #[expect(clippy::too_many_arguments, reason = "what joins two capabilities needs both")]
    #[expect(clippy::needless_pass_by_value, reason = "a constructor keeps what it is given")]
    pub fn new(
        environment: EnvironmentName,
        bucket: BucketName,
        dag_path: String,
        dags: PathBuf,
        objects: Objects,
        db: Db,
        runtime: Arc<dyn Runtime>,
        sync_interval: Duration,
    ) -> Delivery {
        let dag_path = dag_path.trim_matches('/').to_owned();
        Delivery { environment, bucket, dag_path, dags, objects, db, runtime, sync_interval }
    }

    /// Brings the dags directory up to date with the bucket. Airflow is not told.
    pub async fn sync_once(&self) -> Result<DagChanges, DeliveryError> {
        let synced = self.sync(&Scope::Everything).await?;
        for (key, why) in &synced.refused {
            tracing::warn!(%key, why, "an object cannot be a dag file");
        }
        Ok(DagChanges {
            written: synced.written.into_keys().map(PathBuf::from).collect(),
            removed: synced.removed.into_iter().map(PathBuf::from).collect(),
        })
    }

    /// Follows the bucket until `stop`: every change is written and Airflow made to read it; so is everything after a
    /// launch.
    pub async fn run(self, stop: CancellationToken) {
        follow::Follow::new(Arc::new(self)).run(stop).await;
    }

    async fn sync(&self, scope: &Scope) -> Result<Synced, DeliveryError> {
        let mut synced = Synced::default();
        let mut wanted = BTreeMap::new();
        for version in self.current(scope).await? {
            match plan::path_of(&version.key, &self.dag_path) {
                Ok(Some(path)) => {
                    wanted.insert(path, version);
                }
                Ok(None) => {}
                Err(why) => {
                    synced.refused.insert(version.key, why);
                }
            }
        }
        let touched = self.touched(scope);
        let recorded = self.recorded(touched.as_ref()).await?;
        let on_disk = self.on_disk(touched).await?;
        let goals = wanted.iter().map(|(path, version)| {
            let goal = Goal { version: version.id.clone(), size_bytes: version.size_bytes };
            (path.clone(), goal)
        });
        for step in plan::plan(&goals.collect(), &recorded, &on_disk) {
            match step {
                Step::Remove(path) => self.remove(path, &mut synced).await?,
                Step::Write(path) => {
                    let version = wanted.remove(&path).expect("what is written is wanted");
                    self.write(path, version, &mut synced).await?;
                }
            }
        }
        Ok(synced)
    }

    /// The paths that a scope is about; `None` for all.
    fn touched(&self, scope: &Scope) -> Option<BTreeSet<String>> {
        match scope {
            Scope::Everything => None,
            Scope::Keys(keys) => Some(
                keys.iter()
                    .filter_map(|key| plan::path_of(key, &self.dag_path).ok().flatten())
                    .collect(),
            ),
        }
    }

    async fn current(&self, scope: &Scope) -> Result<Vec<Version>, DeliveryError> {
        let keys = match scope {
            Scope::Everything => return self.current_below(&format!("{}/", self.dag_path)).await,
            Scope::Keys(keys) => keys,
        };
        let mut current = Vec::new();
        for key in keys {
            let below = self.current_below(key.as_str()).await?;
            current.extend(below.into_iter().find(|version| version.key == *key));
        }
        Ok(current)
    }

    async fn current_below(&self, prefix: &str) -> Result<Vec<Version>, DeliveryError> {
        self.objects
            .current_below(&self.bucket, prefix)
            .await
            .map_err(|error| self.bucket_failed(prefix, error))
    }

    fn bucket_failed(
        &self,
        what: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> DeliveryError {
        DeliveryError::Bucket {
            what: what.to_owned(),
            bucket: self.bucket.clone(),
            source: Box::new(error),
        }
    }

    async fn recorded(
        &self,
        touched: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<String, String>, DeliveryError> {
        let environment = self.environment.clone();
        let mut recorded = self
            .db
            .read(move |connection| store::delivered(connection, &environment))
            .await
            .map_err(DeliveryError::Index)?;
        if let Some(touched) = touched {
            recorded.retain(|path, _| touched.contains(path));
        }
        Ok(recorded)
    }

    async fn on_disk(
        &self,
        touched: Option<BTreeSet<String>>,
    ) -> Result<BTreeMap<String, u64>, DeliveryError> {
        let dags = self.dags.clone();
        blocking(move || match touched {
            None => disk::sizes(&dags),
            Some(paths) => Ok(disk::sizes_of(&dags, paths)),
        })
        .await
        .map_err(|source| self.disk_failed("list", &self.dags, source))
    }

    fn disk_failed(
        &self,
        verb: &'static str,
        path: &Path,
        source: std::io::Error,
    ) -> DeliveryError {
        DeliveryError::Disk { verb, path: self.dags.join(path), source }
    }

    async fn remove(&self, path: String, synced: &mut Synced) -> Result<(), DeliveryError> {
        let (dags, removed) = (self.dags.clone(), path.clone());
        blocking(move || disk::remove(&dags, &removed))
            .await
            .map_err(|source| self.disk_failed("remove", Path::new(&path), source))?;
        let (environment, gone) = (self.environment.clone(), path.clone());
        self.db
            .write(move |tx| store::forget(tx, &environment, &gone))
            .await
            .map_err(DeliveryError::Index)?;
        synced.removed.insert(path);
        Ok(())
    }

    async fn write(
        &self,
        path: String,
        version: Version,
        synced: &mut Synced,
    ) -> Result<(), DeliveryError> {
        let bytes = self
            .objects
            .read_all(&version)
            .await
            .map_err(|error| self.bucket_failed(version.key.as_str(), error))?;
        let (dags, target) = (self.dags.clone(), path.clone());
        match blocking(move || disk::write(&dags, &target, &bytes)).await {
            Ok(()) => {}
            Err(Unwritten::NotAPath(why)) => {
                synced.refused.insert(version.key, why);
                return Ok(());
            }
            Err(Unwritten::Disk(source)) => {
                return Err(self.disk_failed("write", Path::new(&path), source));
            }
        }
        let (environment, to) = (self.environment.clone(), path.clone());
        let id = version.id.clone();
        self.db
            .write(move |tx| store::record(tx, &environment, &to, &id))
            .await
            .map_err(DeliveryError::Index)?;
        synced.written.insert(path, version);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("work on files does not panic")
}

#[cfg(test)]
mod tests;
