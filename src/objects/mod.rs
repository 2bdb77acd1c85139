//! Versioned objects, addressed by bucket and key.
//!
//! Promise: a put is all or nothing, and versions of one key are totally ordered.
//! Not here: HTTP, ETag quoting, wire encodings (`api::s3`); who may read what (nobody asks).

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Schema};
use crate::id::{BucketName, ObjectKey, VersionId};

pub const SCHEMA: Schema = Schema { room: "objects", steps: &[] };

/// The object store of one windtunnel.
#[derive(Clone, Debug)]
pub struct Objects {
    db: Db,
    clock: Clock,
}

/// A version of an object, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub id: VersionId,
    /// Grows with every version of any key: later is larger.
    pub sequence: i64,
    pub is_delete_marker: bool,
    pub is_latest: bool,
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: String,
    pub modified: Timestamp,
    pub metadata: Metadata,
}

/// What is kept beside an object's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<String>,
    /// `x-amz-meta-*`, names in lower case.
    pub user: BTreeMap<String, String>,
}

/// Whether a bucket keeps versions. It never goes back to `Never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Never,
    Enabled,
    Suspended,
}

/// Why the store could not do it. (The real room has an enum per verb that can fail in its own way.)
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("`{0}` does not exist")]
    NoSuchKey(ObjectKey),
    #[error("cannot {verb} {path}")]
    Disk { verb: &'static str, path: std::path::PathBuf, source: std::io::Error },
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

impl Objects {
    /// Opens the store whose blobs lie in `folder`; sweeps what a crash left unnamed.
    pub async fn open(folder: &Path, db: Db, clock: Clock) -> Result<Objects, ObjectError> {
        let _ = folder;
        Ok(Objects { db, clock })
    }

    /// Makes sure that `bucket` exists and keeps versions.
    pub async fn ensure_versioned_bucket(&self, bucket: &BucketName) -> Result<(), ObjectError> {
        todo!("{:?} {:?} {bucket}", self.db, self.clock)
    }

    /// Writes a new current version from bytes in memory.
    pub async fn put_bytes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Version, ObjectError> {
        todo!("{bucket} {key} {bytes:?} {metadata:?}")
    }

    /// The current version (`None`), or the one with that id. A delete marker as the current version is `NoSuchKey`.
    pub async fn version(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
    ) -> Result<Version, ObjectError> {
        todo!("{bucket} {key} {id:?}")
    }

    /// All bytes of a version, for small objects.
    pub async fn read_all(&self, version: &Version) -> Result<Bytes, ObjectError> {
        todo!("{version:?}")
    }

    /// Deletes as S3 does: behind a delete marker where versions are kept.
    pub async fn delete(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), ObjectError> {
        todo!("{bucket} {key}")
    }

    /// The current versions of all keys below `prefix`, in key order. For folders of a project, not for large buckets.
    pub async fn current_below(
        &self,
        bucket: &BucketName,
        prefix: &str,
    ) -> Result<Vec<Version>, ObjectError> {
        todo!("{bucket} {prefix}")
    }
}
