//! The project's folder → the bucket: every save becomes a version.
//!
//! Promise: what is on disk after the last save is the key's current version soon after; the folder is read, never
//! written; a notification lost or doubled changes nothing.
//! Not here: what the environment does with an object (`delivery`, `environment`).
//!
//! The folder is compared with what we last mirrored, not with the bucket: a scan never undoes an `aws s3 cp`.

mod archive;
mod plan;
mod scan;
mod store;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::config::Layout;
use crate::db::{Db, Schema};
use crate::id::{BucketName, ObjectKey, VersionId};
use crate::limits::{
    MIRROR_PUTS_AT_ONCE, SCAN_INTERVAL_SECONDS, SCAN_LATEST_MS, SCAN_QUIET_MS,
    SCAN_UNWATCHED_SECONDS,
};
use crate::objects::{self, Objects};
use plan::Change;
use scan::{Digest, Found, Source};
use watch::Watch;

/// What was last mirrored, per key.
pub const SCHEMA: Schema = store::SCHEMA;

/// The key of a project's requirements.
pub const REQUIREMENTS_KEY: &str = "requirements.txt";
/// The key of a project's plugins.
pub const PLUGINS_KEY: &str = "plugins.zip";
/// The key of a project's startup script.
pub const STARTUP_KEY: &str = "startup.sh";

/// Mirrors one project's folder into one bucket. Cloning it is cheap, and clones share their memory of the folder.
#[derive(Clone, Debug)]
pub struct Mirror {
    layout: Layout,
    bucket: BucketName,
    dag_path: String,
    objects: Objects,
    db: Db,
    /// Digests by path, so that a file that was not touched is not read again.
    memory: Arc<Mutex<scan::Memory>>,
}

/// The objects that an environment pins, as they are in the bucket now; and how much a scan changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artefacts {
    pub requirements: Option<(ObjectKey, VersionId)>,
    pub plugins: Option<(ObjectKey, VersionId)>,
    pub startup_script: Option<(ObjectKey, VersionId)>,
    /// Keys that were written or deleted by this scan.
    pub changed: usize,
}

/// Something that a person should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A scan changed the bucket.
    Mirrored { written: Vec<ObjectKey>, deleted: Vec<ObjectKey>, artefacts: Artefacts },
    /// The dags folder is not there any more. Its objects stay; mirroring goes on when it is back.
    FolderGone(PathBuf),
    /// The dags folder is there again.
    FolderBack(PathBuf),
    /// A file cannot be mirrored: it is unreadable, too large, or its name cannot be a key. Told once per reason.
    Skipped { path: PathBuf, why: String },
    /// Changes are not notified; the folder is looked at every few seconds instead.
    Unwatched { why: String },
    /// A scan failed; the next one tries again. Told once per reason.
    Failed { why: String },
}

/// Why a scan could not be finished. What it had mirrored by then stays mirrored.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error("cannot {verb} `{key}` in bucket `{bucket}`")]
    Store {
        verb: &'static str,
        key: ObjectKey,
        bucket: BucketName,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot zip the plugins folder {path}")]
    Zip { path: PathBuf, source: std::io::Error },
    #[error("the mirror's index failed")]
    Index(#[from] rusqlite::Error),
}

/// What one scan came to.
#[derive(Debug, Default)]
struct Outcome {
    written: Vec<ObjectKey>,
    deleted: Vec<ObjectKey>,
    /// Files that were left alone, and why.
    skipped: BTreeMap<PathBuf, String>,
    /// The dags folder was mirrored before and is not there.
    gone: bool,
}

impl Mirror {
    /// `dag_path` is where in the bucket the DAGs lie, such as `dags`.
    #[expect(clippy::too_many_arguments, reason = "what joins two capabilities needs both")]
    #[expect(clippy::needless_pass_by_value, reason = "a constructor keeps what it is given")]
    pub fn new(
        layout: Layout,
        bucket: BucketName,
        dag_path: String,
        objects: Objects,
        db: Db,
    ) -> Mirror {
        let dag_path = dag_path.trim_matches('/').to_owned();
        let memory = Arc::default();
        Mirror { layout, bucket, dag_path, objects, db, memory }
    }

    /// One whole comparison; returns the pinned artefacts as they are now in the bucket.
    pub async fn scan(&self) -> Result<Artefacts, MirrorError> {
        let outcome = self.compare().await?;
        self.artefacts(outcome.written.len() + outcome.deleted.len()).await
    }

    /// Mirrors every change until `stop`. What goes wrong is told, never fatal: the next scan tries again.
    pub async fn run(self, stop: CancellationToken, tell: impl Fn(Note)) {
        let mut watch = Watch::new(&self.layout);
        let mut said = Said::default();
        loop {
            // Watching begins before the look: a save between the two is notified.
            let (armed, fresh) = watch.arm().await;
            watch = armed;
            said.hear_of_watching(watch.trouble(), &tell);
            let was_gone = said.gone;
            self.scan_and_tell(&mut said, &tell).await;
            if was_gone && !said.gone {
                // What the system still has to say about the folder's going would end the watch of the one that came:
                // a new watcher has no past.
                watch = Watch::new(&self.layout);
                continue;
            }
            if fresh {
                // A folder that has just come under watch may have changed before it did.
                continue;
            }
            let pause = match watch.trouble() {
                None => Duration::from_secs(SCAN_INTERVAL_SECONDS),
                Some(_) => Duration::from_secs(SCAN_UNWATCHED_SECONDS),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = settled(&watch) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn scan_and_tell(&self, said: &mut Said, tell: &impl Fn(Note)) {
        let outcome = match self.compare().await {
            Ok(outcome) => outcome,
            Err(error) => return said.hear_of_failure(&error, tell),
        };
        said.hear_of_folder(outcome.gone, &self.layout.dags, tell);
        said.hear_of_skipped(&outcome.skipped, tell);
        let changed = outcome.written.len() + outcome.deleted.len();
        if changed == 0 {
            said.failure = None;
            return;
        }
        match self.artefacts(changed).await {
            Ok(artefacts) => {
                said.failure = None;
                let Outcome { written, deleted, .. } = outcome;
                tell(Note::Mirrored { written, deleted, artefacts });
            }
            Err(error) => said.hear_of_failure(&error, tell),
        }
    }

    async fn compare(&self) -> Result<Outcome, MirrorError> {
        let base = self.base().await?;
        let mut found = self.look().await;
        let gone = found.dags_missing && base.keys().any(|key| self.is_dag(key));
        for (key, digest) in &base {
            // A key whose file we could not judge stays as it is; so does everything while the folder is away.
            if gone || found.unknown.contains(key) {
                found.snapshot.entry(key.clone()).or_insert(*digest);
            }
        }
        let changes: Vec<Change> = plan::plan(&base, &found.snapshot);
        let mut outcome =
            Outcome { gone, skipped: std::mem::take(&mut found.skipped), ..Outcome::default() };
        let found = &found;
        let done: Vec<Option<Change>> = stream::iter(changes)
            .map(|change| async move {
                let applied = self.apply(&change, found).await?;
                Ok::<_, MirrorError>(applied.then_some(change))
            })
            .buffer_unordered(MIRROR_PUTS_AT_ONCE)
            .try_collect()
            .await?;
        for change in done.into_iter().flatten() {
            match change {
                Change::Put(key) => outcome.written.push(key),
                Change::Delete(key) => outcome.deleted.push(key),
            }
        }
        Ok(outcome)
    }

    fn is_dag(&self, key: &ObjectKey) -> bool {
        key.as_str().strip_prefix(self.dag_path.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    async fn base(&self) -> Result<BTreeMap<ObjectKey, Digest>, MirrorError> {
        let bucket = self.bucket.clone();
        self.db.read(move |tx| store::base(tx, &bucket)).await.map_err(MirrorError::Index)
    }

    async fn look(&self) -> Found {
        let (layout, dag_path) = (self.layout.clone(), self.dag_path.clone());
        let memory = Arc::clone(&self.memory);
        let look = move || {
            let mut memory = memory.lock().expect("a look at the folder does not panic");
            scan::look(&layout, &dag_path, &mut memory)
        };
        tokio::task::spawn_blocking(look).await.expect("a look at the folder does not panic")
    }

    /// Does one change, and records it. False when the file was gone or unreadable by now: the next scan judges.
    async fn apply(&self, change: &Change, found: &Found) -> Result<bool, MirrorError> {
        let failed = |verb: &'static str, key: &ObjectKey| {
            let (key, bucket) = (key.clone(), self.bucket.clone());
            move |source: Box<dyn std::error::Error + Send + Sync>| MirrorError::Store {
                verb,
                key,
                bucket,
                source,
            }
        };
        let bucket = self.bucket.clone();
        match change {
            Change::Delete(key) => {
                self.objects
                    .delete(&self.bucket, key)
                    .await
                    .map_err(|error| failed("delete", key)(Box::new(error)))?;
                let key = key.clone();
                self.db
                    .write(move |tx| store::forget(tx, &bucket, &key))
                    .await
                    .map_err(MirrorError::Index)?;
            }
            Change::Put(key) => {
                let source = found.sources.get(key).expect("what is put was found");
                let Some((bytes, digest)) = read(source.clone()).await? else { return Ok(false) };
                let metadata = objects::Metadata::default();
                self.objects
                    .put_bytes(&self.bucket, key, bytes, metadata)
                    .await
                    .map_err(|error| failed("write", key)(Box::new(error)))?;
                // The digest of what was put, not of what was found: a save in between is the next scan's.
                let key = key.clone();
                self.db
                    .write(move |tx| store::record(tx, &bucket, &key, digest))
                    .await
                    .map_err(MirrorError::Index)?;
            }
        }
        Ok(true)
    }

    async fn artefacts(&self, changed: usize) -> Result<Artefacts, MirrorError> {
        Ok(Artefacts {
            requirements: self.pin(REQUIREMENTS_KEY).await?,
            plugins: self.pin(PLUGINS_KEY).await?,
            startup_script: self.pin(STARTUP_KEY).await?,
            changed,
        })
    }

    async fn pin(&self, key: &str) -> Result<Option<(ObjectKey, VersionId)>, MirrorError> {
        let versions = self.objects.current_below(&self.bucket, key).await.map_err(|error| {
            MirrorError::Store {
                verb: "find",
                key: ObjectKey::parse(key).expect("the names of artefacts are keys"),
                bucket: self.bucket.clone(),
                source: Box::new(error),
            }
        })?;
        let current = versions.into_iter().find(|version| version.key.as_str() == key);
        Ok(current.map(|version| (version.key, version.id)))
    }
}

/// The bytes to put and their digest; `None` when the file cannot be read now.
async fn read(source: Source) -> Result<Option<(Bytes, Digest)>, MirrorError> {
    let work = move || match source {
        Source::File(path) => Ok(std::fs::read(path).ok().map(|bytes| {
            let digest = Digest::of(&bytes);
            (Bytes::from(bytes), digest)
        })),
        Source::Folder(path) => match archive::pack(&path) {
            Ok((zip, digest)) => Ok(Some((Bytes::from(zip), digest))),
            Err(source) => Err(MirrorError::Zip { path, source }),
        },
    };
    tokio::task::spawn_blocking(work).await.expect("reading a file does not panic")
}

/// Returns once something was notified and then quiet for a moment, or has been going on for long enough.
async fn settled(watch: &Watch) {
    watch.hint().await;
    let latest = tokio::time::sleep(Duration::from_millis(SCAN_LATEST_MS));
    tokio::pin!(latest);
    loop {
        tokio::select! {
            () = watch.hint() => {}
            () = tokio::time::sleep(Duration::from_millis(SCAN_QUIET_MS)) => return,
            () = &mut latest => return,
        }
    }
}

/// What was told last, so that a trouble that lasts is told once.
#[derive(Debug, Default)]
struct Said {
    gone: bool,
    skipped: BTreeMap<PathBuf, String>,
    failure: Option<String>,
    unwatched: Option<String>,
}

impl Said {
    fn hear_of_folder(&mut self, gone: bool, dags: &std::path::Path, tell: &impl Fn(Note)) {
        match (self.gone, gone) {
            (false, true) => tell(Note::FolderGone(dags.to_owned())),
            (true, false) => tell(Note::FolderBack(dags.to_owned())),
            (true, true) | (false, false) => {}
        }
        self.gone = gone;
    }

    fn hear_of_skipped(&mut self, skipped: &BTreeMap<PathBuf, String>, tell: &impl Fn(Note)) {
        for (path, why) in skipped {
            if self.skipped.get(path) != Some(why) {
                tell(Note::Skipped { path: path.clone(), why: why.clone() });
            }
        }
        self.skipped.clone_from(skipped);
    }

    fn hear_of_failure(&mut self, error: &MirrorError, tell: &impl Fn(Note)) {
        let why = chain(error);
        if self.failure.as_ref() != Some(&why) {
            tell(Note::Failed { why: why.clone() });
        }
        self.failure = Some(why);
    }

    fn hear_of_watching(&mut self, trouble: Option<&str>, tell: &impl Fn(Note)) {
        if let Some(why) = trouble
            && self.unwatched.as_deref() != Some(why)
        {
            tell(Note::Unwatched { why: why.to_owned() });
        }
        self.unwatched = trouble.map(str::to_owned);
    }
}

/// An error and everything below it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
