//! What buckets are told, and what is said of a version after it was written.
//!
//! A setting is a text under a name; what it means, its reader knows. Object lock and lifecycle rules are read here
//! too, so the store keeps them in its own words beside the text.

use std::collections::BTreeMap;

use super::lock::may_replace;
use super::{
    Bucket, BucketError, FindError, Grant, Lock, Objects, Retention, Rule, Version, Versioning,
    store,
};
use crate::id::{BucketName, ObjectKey, Region, VersionId};

/// A bucket about to be made.
#[derive(Clone, Debug)]
pub struct NewBucket {
    pub name: BucketName,
    pub region: Region,
    /// The canonical id of who makes it.
    pub owner: String,
    /// With object lock, and so with versions.
    pub lock: bool,
    pub settings: Vec<(&'static str, Option<String>)>,
}

/// Everything that a bucket was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub(super) BTreeMap<String, Option<String>>);

impl Settings {
    /// `None` when it was never told, `Some(None)` when it was told to be without.
    pub fn told(&self, name: &str) -> Option<Option<&str>> {
        self.0.get(name).map(Option::as_deref)
    }

    /// The text, where there is one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.told(name).flatten()
    }

    /// The names that begin with `prefix` and have a text, in order.
    pub fn below<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        let all = self.0.iter().filter(move |(name, _)| name.starts_with(prefix));
        all.filter_map(|(name, text)| Some((name.as_str(), text.as_deref()?)))
    }
}

/// What is said of a version after it was written.
#[derive(Clone, Debug)]
pub enum Amendment {
    Tags(Vec<(String, String)>),
    /// `bypass` gets round a governance retention that is there.
    Retention {
        retention: Option<Retention>,
        bypass: bool,
    },
    LegalHold(bool),
    Grants(Vec<Grant>),
}

/// Why a version was not amended.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    #[error(transparent)]
    NotFound(#[from] FindError),
    #[error("the version is a delete marker")]
    Marker(Box<Version>),
    #[error("bucket `{0}` has no object lock")]
    NoLock(BucketName),
    #[error("`{0}` is locked")]
    Locked(ObjectKey),
}

impl From<rusqlite::Error> for AmendError {
    fn from(error: rusqlite::Error) -> AmendError {
        AmendError::NotFound(error.into())
    }
}

impl Objects {
    /// Makes a bucket that has been told things from the start.
    pub async fn make_bucket(&self, new: NewBucket) -> Result<Bucket, BucketError> {
        let versioning = if new.lock { Versioning::Enabled } else { Versioning::Never };
        let bucket = Bucket {
            name: new.name,
            region: new.region,
            owner: new.owner,
            versioning,
            lock: new.lock.then(Lock::default),
            created: self.clock.now(),
        };
        self.db
            .write(move |tx| {
                if let Some(there) = store::bucket(tx, &bucket.name)? {
                    return Err(BucketError::Exists(Box::new(there.bucket)));
                }
                let id = store::insert_bucket(tx, &bucket)?;
                for (name, text) in new.settings {
                    store::set_setting(tx, id, name, text.as_deref())?;
                }
                Ok(bucket)
            })
            .await
    }

    /// A bucket and everything it was told.
    pub async fn settings(&self, name: &BucketName) -> Result<(Bucket, Settings), BucketError> {
        let name = name.clone();
        self.db
            .read(move |connection| {
                let row = store::bucket(connection, &name)?;
                let row = row.ok_or(BucketError::NoSuchBucket(name))?;
                let settings = store::settings(connection, row.id)?;
                Ok((row.bucket, settings))
            })
            .await
    }

    /// Tells a bucket something, or (`None`) to be without it.
    pub async fn set_setting(
        &self,
        bucket: &BucketName,
        name: &str,
        text: Option<String>,
    ) -> Result<(), BucketError> {
        let (bucket, name) = (bucket.clone(), name.to_owned());
        self.db
            .write(move |tx| {
                let row = store::bucket(tx, &bucket)?;
                let row = row.ok_or(BucketError::NoSuchBucket(bucket))?;
                Ok(store::set_setting(tx, row.id, &name, text.as_deref())?)
            })
            .await
    }

    /// Gives a bucket lifecycle rules: as a text under `name`, and as what is acted on.
    pub async fn set_rules(
        &self,
        bucket: &BucketName,
        (name, text): (&str, Option<String>),
        rules: Vec<Rule>,
    ) -> Result<(), BucketError> {
        let (bucket, name) = (bucket.clone(), name.to_owned());
        self.db
            .write(move |tx| {
                let row = store::bucket(tx, &bucket)?;
                let row = row.ok_or(BucketError::NoSuchBucket(bucket))?;
                store::set_setting(tx, row.id, &name, text.as_deref())?;
                Ok::<_, BucketError>(store::set_rules(tx, row.id, &rules)?)
            })
            .await?;
        self.rules_changed.notify_one();
        Ok(())
    }

    /// Gives a bucket object lock, or another default.
    pub async fn set_lock(&self, bucket: &BucketName, lock: Lock) -> Result<(), BucketError> {
        let bucket = bucket.clone();
        self.db
            .write(move |tx| match store::bucket(tx, &bucket)? {
                None => Err(BucketError::NoSuchBucket(bucket)),
                Some(row) if row.bucket.versioning != Versioning::Enabled => {
                    Err(BucketError::NotVersioned(bucket))
                }
                Some(row) => Ok(store::set_lock(tx, row.id, lock)?),
            })
            .await
    }

    /// Says something of the current version, or of the one with that id.
    #[expect(clippy::too_many_arguments, reason = "which version of what, and what to say of it")]
    pub async fn amend(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
        amendment: Amendment,
    ) -> Result<Version, AmendError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), id.cloned());
        let now = self.clock.now();
        self.db
            .write(move |tx| {
                let Some(row) = store::bucket(tx, &bucket)? else {
                    return Err(FindError::NoSuchBucket(bucket).into());
                };
                let mut version = match id {
                    None => store::latest(tx, &row, &key)?
                        .ok_or(AmendError::NotFound(FindError::NoSuchKey(key)))?,
                    Some(version) => store::by_id(tx, &row, &key, &version)?
                        .ok_or(AmendError::NotFound(FindError::NoSuchVersion { key, version }))?,
                };
                if version.is_delete_marker {
                    return Err(AmendError::Marker(Box::new(version)));
                }
                let metadata = &mut version.metadata;
                match amendment {
                    Amendment::Tags(tags) => metadata.tags = tags,
                    Amendment::Grants(grants) => metadata.grants = Some(grants),
                    Amendment::Retention { .. } | Amendment::LegalHold(_)
                        if row.bucket.lock.is_none() =>
                    {
                        return Err(AmendError::NoLock(row.bucket.name));
                    }
                    Amendment::LegalHold(holds) => metadata.legal_hold = Some(holds),
                    Amendment::Retention { retention, bypass } => {
                        if !may_replace(metadata.retention, retention, (now, bypass)) {
                            return Err(AmendError::Locked(version.key));
                        }
                        metadata.retention = retention;
                    }
                }
                store::set_metadata(tx, version.sequence, &version.metadata)?;
                Ok(version)
            })
            .await
    }
}
