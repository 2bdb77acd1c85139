//! Deleting: behind a marker where versions are kept, for good where one version is named.

use super::store::{self, Body, BucketRow, New};
use super::{Metadata, ObjectError, Objects, Version, Versioning, lock};
use crate::clock::Timestamp;
use crate::db::{Event, Tx};
use crate::id::{BucketName, ObjectKey, VersionId};

/// What must hold of the version that is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteCondition {
    /// Without quotes; `*` is any.
    pub etag: Option<String>,
    /// To the second.
    pub modified: Option<Timestamp>,
    pub size_bytes: Option<u64>,
}

/// A key, or one version of it, to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub key: ObjectKey,
    /// `None` deletes the key: behind a delete marker where versions are kept.
    pub version: Option<VersionId>,
    pub condition: DeleteCondition,
    /// Gets round a governance retention.
    pub bypass: bool,
}

impl Deletion {
    /// Deletes `key` whatever it is.
    pub fn of(key: ObjectKey) -> Deletion {
        Deletion { key, version: None, condition: DeleteCondition::default(), bypass: false }
    }
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The delete marker that was put on top, or the version that was asked for; `None` in a bucket without versions.
    pub version: Option<VersionId>,
    /// It is, or was, a delete marker.
    pub is_marker: bool,
}

/// Why nothing was deleted. A key that does not exist is no reason.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why one of several was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("`{0}` is not in the state that the deletion asked for")]
    Condition(ObjectKey),
    #[error("`{0}` is retained or on legal hold")]
    Locked(ObjectKey),
}

impl Objects {
    /// Deletes as S3 does: behind a delete marker where versions are kept.
    pub async fn delete(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), ObjectError> {
        match self.delete_many(bucket, "", vec![Deletion::of(key.clone())]).await {
            Ok(_) => Ok(()),
            Err(DeleteError::NoSuchBucket(bucket)) => Err(ObjectError::NoSuchBucket(bucket)),
            Err(DeleteError::Index(error)) => Err(ObjectError::Index(error)),
        }
    }

    /// Deletes keys and versions, in one transaction. Answers in the order asked.
    pub async fn delete_many(
        &self,
        bucket: &BucketName,
        owner: &str,
        deletions: Vec<Deletion>,
    ) -> Result<Vec<Result<Deleted, Refused>>, DeleteError> {
        let (bucket, owner, at) = (bucket.clone(), owner.to_owned(), self.clock.now());
        let (done, freed) = self
            .db
            .write(move |tx| {
                let Some(bucket) = store::bucket(tx, &bucket)? else {
                    return Err(DeleteError::NoSuchBucket(bucket));
                };
                let mut deleting = Deleting { bucket, owner, at, freed: Vec::new() };
                let mut done = Vec::with_capacity(deletions.len());
                for deletion in deletions {
                    done.push(deleting.delete(tx, deletion)?);
                }
                Ok((done, deleting.freed))
            })
            .await?;
        self.folder.remove(freed).await;
        Ok(done)
    }
}

/// Deletions from one bucket, under way in one transaction.
struct Deleting {
    bucket: BucketRow,
    owner: String,
    at: Timestamp,
    /// The blobs that nothing names any more.
    freed: Vec<String>,
}

impl Deleting {
    fn delete(
        &mut self,
        tx: &mut Tx<'_>,
        deletion: Deletion,
    ) -> rusqlite::Result<Result<Deleted, Refused>> {
        let Deletion { key, version, condition, bypass } = deletion;
        let there = match &version {
            None => store::latest(tx, &self.bucket, &key)?,
            Some(id) => store::by_id(tx, &self.bucket, &key, id)?,
        };
        if there.as_ref().is_some_and(|there| !meets(there, &condition)) {
            return Ok(Err(Refused::Condition(key)));
        }
        let Some(id) = version else { return self.delete_key(tx, key, there).map(Ok) };
        let is_marker = there.as_ref().is_some_and(|there| there.is_delete_marker);
        if let Some(there) = there {
            if lock::holds(&there.metadata, self.at, bypass) {
                return Ok(Err(Refused::Locked(key)));
            }
            self.freed.extend(delete_version(tx, &self.bucket, &there)?);
        }
        Ok(Ok(Deleted { version: Some(id), is_marker }))
    }

    fn delete_key(
        &mut self,
        tx: &mut Tx<'_>,
        key: ObjectKey,
        there: Option<Version>,
    ) -> rusqlite::Result<Deleted> {
        if there.as_ref().is_some_and(|there| !there.is_delete_marker) {
            let bucket = self.bucket.bucket.name.clone();
            tx.announce(Event::ObjectDeleted { bucket, key: key.clone() });
        }
        if self.bucket.bucket.versioning == Versioning::Never {
            if let Some(there) = there {
                self.freed.extend(store::remove(tx, there.sequence)?);
            }
            return Ok(Deleted { version: None, is_marker: false });
        }
        let marker = New {
            key,
            marker: true,
            size_bytes: 0,
            etag: String::new(),
            owner: self.owner.clone(),
            checksum: None,
            metadata: Metadata::default(),
            parts: None,
            body: Body::None,
            at: self.at,
        };
        let (marker, freed) = store::push(tx, &self.bucket, marker)?;
        self.freed.extend(freed);
        Ok(Deleted { version: Some(marker.id), is_marker: true })
    }
}

/// Removes one version; what lies below it becomes current if it was.
fn delete_version(
    tx: &mut Tx<'_>,
    bucket: &BucketRow,
    version: &Version,
) -> rusqlite::Result<Vec<String>> {
    let freed = store::remove(tx, version.sequence)?;
    if version.is_latest {
        let (name, key) = (version.bucket.clone(), version.key.clone());
        match store::promote(tx, bucket, &key)?.filter(|below| !below.is_delete_marker) {
            Some(below) => {
                tx.announce(Event::ObjectWritten { bucket: name, key, version: below.id });
            }
            None if version.is_delete_marker => {}
            None => tx.announce(Event::ObjectDeleted { bucket: name, key }),
        }
    }
    Ok(freed)
}

fn meets(version: &Version, condition: &DeleteCondition) -> bool {
    let seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
    let DeleteCondition { etag, modified, size_bytes } = condition;
    etag.as_ref().is_none_or(|etag| etag == "*" || *etag == version.etag)
        && modified.is_none_or(|at| seconds(at) == seconds(version.modified))
        && size_bytes.is_none_or(|size| size == version.size_bytes)
}
