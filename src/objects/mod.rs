//! Versioned objects, addressed by bucket and key.
//!
//! Promise: a put is all or nothing, and versions of one key are totally ordered.
//! Not here: HTTP, `ETag` quoting, wire encodings (`api::s3`); who may read what (nobody asks).
//!
//! Bytes come first, the row second: [`Objects::receive`] takes a body in under a temporary name, and the verb that
//! makes it an object ([`Objects::put`], [`Objects::put_part`]) checks it, names the file and writes the row in one
//! transaction. What a crash leaves in between is a file that no row names; [`Objects::open`] sweeps it.

mod blob;
mod checksum;
mod deletion;
mod lifecycle;
mod listing;
mod lock;
mod metadata;
mod multipart;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod upload_store;
mod uploads;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::clock::{Clock, Timestamp};
use crate::config::Durability;
use crate::db::{Db, Event, Schema, Tx};
use crate::id::{BucketName, ObjectKey, Region, VersionId};

use blob::{Content, Folder, Placed, Stretch};
pub use blob::{Damaged, Declared, Incoming, Reading, Received};
pub use checksum::{Algorithm, Checksum, Span};
pub use deletion::{DeleteCondition, DeleteError, Deleted, Deletion, Refused};
pub use lifecycle::{Expiry, Noncurrent, Rule};
pub use listing::{After, Entry, Page, Query, Shown};
pub use lock::{DefaultRetention, Lock, Mode, Period, Retention};
pub use metadata::{Encryption, Grant, Grantee, Metadata, Permission};
pub use multipart::{Complete, CompleteError, Completed, NewUpload, Stated, UploadError};
pub use settings::{AmendError, Amendment, NewBucket, Settings};
pub use store::Piece;
use store::{Body, New};
pub use upload_store::{Part, Upload};
pub use uploads::{AfterUpload, UploadEntry, UploadPage, UploadQuery};

pub const SCHEMA: Schema = store::SCHEMA;

/// The object store of one windtunnel.
#[derive(Clone, Debug)]
pub struct Objects {
    db: Db,
    clock: Clock,
    folder: Folder,
    /// Told when a bucket gets other lifecycle rules.
    rules_changed: Arc<Notify>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: BucketName,
    pub region: Region,
    /// The canonical id of who made it; empty for one that we made ourselves.
    pub owner: String,
    pub versioning: Versioning,
    /// Where the bucket has object lock.
    pub lock: Option<Lock>,
    pub created: Timestamp,
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
    /// The canonical id of who wrote it; empty for what we wrote ourselves.
    pub owner: String,
    pub checksum: Option<Checksum>,
    /// How many parts it was uploaded in; `None` when it came in one piece.
    pub parts: Option<u32>,
}

/// Whether a bucket keeps versions. It never goes back to `Never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Never,
    Enabled,
    Suspended,
}

/// A file of the store could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}")]
pub struct DiskError {
    verb: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl DiskError {
    /// The file is not there: its version was removed since it was looked up.
    pub fn is_gone(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }
}

/// Why the store could not do it, where nothing finer is told apart.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("`{0}` does not exist")]
    NoSuchKey(ObjectKey),
    #[error("cannot {verb} {path}")]
    Disk { verb: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

impl From<DiskError> for ObjectError {
    fn from(error: DiskError) -> ObjectError {
        let DiskError { verb, path, source } = error;
        ObjectError::Disk { verb, path, source }
    }
}

/// Why a bucket was not made, found, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("bucket `{}` exists already", .0.name)]
    Exists(Box<Bucket>),
    #[error("bucket `{0}` still has versions or delete markers")]
    NotEmpty(BucketName),
    #[error("bucket `{0}` has object lock, which needs versions")]
    Locked(BucketName),
    #[error("bucket `{0}` does not keep versions, which object lock needs")]
    NotVersioned(BucketName),
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

/// Why a version was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("`{0}` does not exist")]
    NoSuchKey(ObjectKey),
    #[error("`{key}` has no version `{version}`")]
    NoSuchVersion { key: ObjectKey, version: VersionId },
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

/// What must hold of a key's current object for a write to happen. A delete marker is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none.
    Absent,
    /// There is one.
    Exists,
    /// There is one with this `ETag` (without quotes).
    Etag(String),
}

/// Why an object was not written. Nothing was: blob and row land together or not at all.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("`{0}` does not exist")]
    NoSuchKey(ObjectKey),
    #[error("`{key}` arrived damaged")]
    Damaged { key: ObjectKey, source: Damaged },
    #[error("`{0}` is not in the state that the write asked for")]
    Precondition(ObjectKey),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

/// An object about to be written.
#[derive(Clone, Debug)]
pub struct Put {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub metadata: Metadata,
    /// The canonical id of who writes; empty when we do it ourselves.
    pub owner: String,
    pub precondition: Option<Precondition>,
    pub declared: Declared,
}

impl Put {
    /// A put by ourselves, without conditions.
    pub fn plain(bucket: BucketName, key: ObjectKey, metadata: Metadata) -> Put {
        let (owner, declared) = (String::new(), Declared::default());
        Put { bucket, key, metadata, owner, precondition: None, declared }
    }
}

/// Where the bytes of a new version are, once they have a name.
struct Settled {
    body: Body,
    /// Keeps the file until the row is written; removes it when it is not.
    placed: Option<Placed>,
}

/// The region of buckets that nobody chose one for.
const HOME: &str = "us-east-1";

impl Objects {
    /// Opens the store whose blobs lie in `folder`; sweeps what a crash left unnamed.
    pub async fn open(folder: &Path, db: Db, clock: Clock) -> Result<Objects, ObjectError> {
        let folder = Folder::open(folder).await?;
        let named = db.read(store::all_blobs).await?;
        let swept = folder.sweep(named).await?;
        if swept > 0 {
            tracing::info!(swept, "removed unfinished writes");
        }
        Ok(Objects { db, clock, folder, rules_changed: Arc::default() })
    }

    /// The same store, that flushes files to the disk before it answers, or does not.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Objects {
        Objects { folder: self.folder.with_durability(durability), ..self }
    }

    /// The time by which versions are stamped.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // ---- buckets

    /// Makes a bucket.
    pub async fn create_bucket(
        &self,
        name: &BucketName,
        region: &Region,
        owner: &str,
    ) -> Result<Bucket, BucketError> {
        let new = NewBucket {
            name: name.clone(),
            region: region.clone(),
            owner: owner.to_owned(),
            lock: false,
            settings: Vec::new(),
        };
        self.make_bucket(new).await
    }

    /// The bucket of that name.
    pub async fn bucket(&self, name: &BucketName) -> Result<Bucket, BucketError> {
        let name = name.clone();
        self.db
            .read(move |connection| match store::bucket(connection, &name)? {
                Some(row) => Ok(row.bucket),
                None => Err(BucketError::NoSuchBucket(name)),
            })
            .await
    }

    /// All buckets, by name.
    pub async fn buckets(&self) -> Result<Vec<Bucket>, BucketError> {
        self.db
            .read(|connection| {
                Ok(store::buckets(connection)?.into_iter().map(|row| row.bucket).collect())
            })
            .await
    }

    /// Removes a bucket that has no versions left. Uploads under way are dropped with it.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<(), BucketError> {
        let name = name.clone();
        let freed = self
            .db
            .write(move |tx| {
                let Some(row) = store::bucket(tx, &name)? else {
                    return Err(BucketError::NoSuchBucket(name));
                };
                if store::has_versions(tx, row.id)? {
                    return Err(BucketError::NotEmpty(name));
                }
                Ok(store::delete_bucket(tx, row.id)?)
            })
            .await?;
        self.folder.remove(freed).await;
        Ok(())
    }

    /// Has a bucket keep versions from now on, or stop doing so. What is there stays as it is.
    pub async fn set_versioning(
        &self,
        name: &BucketName,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        let name = name.clone();
        self.db
            .write(move |tx| match store::bucket(tx, &name)? {
                None => Err(BucketError::NoSuchBucket(name)),
                Some(row) if row.bucket.lock.is_some() && versioning != Versioning::Enabled => {
                    Err(BucketError::Locked(name))
                }
                Some(row) => Ok(store::set_versioning(tx, row.id, versioning)?),
            })
            .await
    }

    /// Makes sure that `bucket` exists and keeps versions.
    pub async fn ensure_versioned_bucket(&self, bucket: &BucketName) -> Result<(), ObjectError> {
        let new = Bucket {
            name: bucket.clone(),
            region: Region::parse(HOME).expect("the home region is well formed"),
            owner: String::new(),
            versioning: Versioning::Enabled,
            lock: None,
            created: self.clock.now(),
        };
        self.db
            .write(move |tx| {
                match store::bucket(tx, &new.name)? {
                    None => {
                        store::insert_bucket(tx, &new)?;
                    }
                    Some(row) if row.bucket.versioning == Versioning::Enabled => {}
                    Some(row) => store::set_versioning(tx, row.id, Versioning::Enabled)?,
                }
                Ok(())
            })
            .await
    }

    // ---- writing

    /// Begins to take a body in. MD5 and CRC64NVME are computed on the way, and `also`.
    pub fn receive(&self, also: Option<Algorithm>) -> Incoming {
        let mut algorithms = vec![Algorithm::Crc64Nvme];
        algorithms.extend(also.filter(|algorithm| *algorithm != Algorithm::Crc64Nvme));
        Incoming::new(self.folder.clone(), &algorithms)
    }

    /// Writes a new current version from a body that has come in.
    pub async fn put(&self, put: Put, received: Received) -> Result<Version, PutError> {
        let Put { bucket, key, metadata, owner, precondition, declared } = put;
        received
            .check(&declared)
            .map_err(|source| PutError::Damaged { key: key.clone(), source })?;
        // AWS: an object that came without a checksum gets a CRC64NVME.
        let algorithm = declared.checksum.map_or(Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
        let (size_bytes, etag) = (received.size_bytes(), received.etag());
        let checksum = received.checksum(algorithm);
        let Settled { body, placed } = self.settle(received).await?;
        let new = New {
            key,
            marker: false,
            size_bytes,
            etag,
            owner,
            checksum,
            metadata,
            parts: None,
            body,
            at: self.clock.now(),
        };
        let publish = move |tx: &mut Tx<'_>| {
            let published = publish(tx, &bucket, new, precondition.as_ref())?;
            if let Some(placed) = placed {
                placed.keep();
            }
            Ok::<_, PutError>(published)
        };
        let (version, freed) = self.db.write(publish).await?;
        self.folder.remove(freed).await;
        Ok(version)
    }

    /// Gives received bytes their place: a file its name, small ones their row.
    async fn settle(&self, received: Received) -> Result<Settled, DiskError> {
        match received.content {
            Content::Memory(bytes) => Ok(Settled { body: Body::Inline(bytes), placed: None }),
            Content::File(arrived) => {
                let placed = self.folder.place(arrived).await?;
                Ok(Settled { body: Body::Blob(placed.name.clone()), placed: Some(placed) })
            }
        }
    }

    /// Writes a new current version from bytes in memory.
    #[expect(clippy::too_many_arguments, reason = "four things and the store")]
    pub async fn put_bytes(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        bytes: Bytes,
        metadata: Metadata,
    ) -> Result<Version, ObjectError> {
        let mut incoming = self.receive(None);
        incoming.write(bytes).await?;
        let received = incoming.finish().await?;
        let put = Put::plain(bucket.clone(), key.clone(), metadata);
        // Boxed: what is kept beside an object is large, and this is inside every future that writes one.
        Box::pin(self.put(put, received)).await.map_err(|error| match error {
            PutError::NoSuchBucket(bucket) => ObjectError::NoSuchBucket(bucket),
            PutError::NoSuchKey(key)
            | PutError::Damaged { key, .. }
            | PutError::Precondition(key) => ObjectError::NoSuchKey(key),
            PutError::Disk(error) => error.into(),
            PutError::Index(error) => ObjectError::Index(error),
        })
    }

    /// Writes what `from` holds as a new current version elsewhere, with the metadata and conditions of `put`.
    ///
    /// Bytes that lie in one piece are shared, not copied. `algorithm` is the checksum the copy shall have; `None`
    /// keeps the source's.
    pub async fn copy(
        &self,
        from: &Version,
        put: Put,
        algorithm: Option<Algorithm>,
    ) -> Result<Version, PutError> {
        let has = from.checksum.as_ref().map(|checksum| checksum.algorithm);
        if from.parts.is_some() || (algorithm.is_some() && algorithm != has) {
            return self.copy_bytes(from, put, algorithm.or(has)).await;
        }
        let Put { bucket, key, metadata, owner, precondition, declared: _ } = put;
        let (from, at) = (from.clone(), self.clock.now());
        let (version, freed) = self
            .db
            .write(move |tx| {
                // Looked up again inside the transaction: what is shared must not be on its way out.
                let Some(body) = store::body_of(tx, from.sequence)? else {
                    return Err(PutError::NoSuchKey(from.key));
                };
                let new = New {
                    key,
                    marker: false,
                    size_bytes: from.size_bytes,
                    etag: from.etag,
                    owner,
                    checksum: from.checksum,
                    metadata,
                    parts: None,
                    body,
                    at,
                };
                publish(tx, &bucket, new, precondition.as_ref())
            })
            .await?;
        self.folder.remove(freed).await;
        Ok(version)
    }

    /// AWS: the copy of a multipart object has the `ETag` and the checksum of one piece, so its bytes must be read.
    async fn copy_bytes(
        &self,
        from: &Version,
        mut put: Put,
        algorithm: Option<Algorithm>,
    ) -> Result<Version, PutError> {
        let told = |error| match error {
            ObjectError::NoSuchBucket(bucket) => PutError::NoSuchBucket(bucket),
            ObjectError::NoSuchKey(key) => PutError::NoSuchKey(key),
            ObjectError::Disk { verb, path, source } => {
                PutError::Disk(DiskError { verb, path, source })
            }
            ObjectError::Index(error) => PutError::Index(error),
        };
        let mut reading = self.read(from, 0..from.size_bytes).await.map_err(told)?;
        let mut incoming = self.receive(algorithm);
        while let Some(chunk) = reading.next().await.map_err(told)? {
            incoming.write(chunk).await?;
        }
        let received = incoming.finish().await?;
        // The copy declares what was just computed, which is how it comes to be kept.
        let checksum = algorithm.and_then(|algorithm| received.checksum(algorithm));
        put.declared.checksum = checksum.map(|checksum| (checksum.algorithm, checksum.value));
        self.put(put, received).await
    }

    // ---- reading

    /// The current version (`None`), or the one with that id; it may be a delete marker.
    pub async fn find(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
    ) -> Result<Version, FindError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), id.cloned());
        self.db
            .read(move |connection| {
                let Some(row) = store::bucket(connection, &bucket)? else {
                    return Err(FindError::NoSuchBucket(bucket));
                };
                match id {
                    None => store::latest(connection, &row, &key)?.ok_or(FindError::NoSuchKey(key)),
                    Some(version) => store::by_id(connection, &row, &key, &version)?
                        .ok_or(FindError::NoSuchVersion { key, version }),
                }
            })
            .await
    }

    /// The current version (`None`), or the one with that id. A delete marker as the current version is `NoSuchKey`.
    pub async fn version(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
    ) -> Result<Version, ObjectError> {
        match self.find(bucket, key, id).await {
            Ok(version) if version.is_delete_marker => Err(ObjectError::NoSuchKey(version.key)),
            Ok(version) => Ok(version),
            Err(FindError::NoSuchBucket(bucket)) => Err(ObjectError::NoSuchBucket(bucket)),
            Err(FindError::NoSuchKey(key) | FindError::NoSuchVersion { key, .. }) => {
                Err(ObjectError::NoSuchKey(key))
            }
            Err(FindError::Index(error)) => Err(ObjectError::Index(error)),
        }
    }

    /// The bytes of a version from `range.start` up to `range.end`, which lie within its size.
    ///
    /// `NoSuchKey` when the version was removed since it was found.
    pub async fn read(&self, version: &Version, range: Range<u64>) -> Result<Reading, ObjectError> {
        let wanted = version.clone();
        let stretches =
            self.db.read(move |connection| store::stretches(connection, &wanted)).await?;
        let gone = || ObjectError::NoSuchKey(version.key.clone());
        let stretches = cut(stretches.ok_or_else(gone)?, range);
        match Reading::open(self.folder.clone(), stretches).await {
            Err(error) if error.is_gone() => Err(gone()),
            opened => Ok(opened?),
        }
    }

    /// All bytes of a version, for small objects.
    pub async fn read_all(&self, version: &Version) -> Result<Bytes, ObjectError> {
        self.read(version, 0..version.size_bytes).await?.all().await
    }

    /// The parts of a finished multipart object, in order; none for an object that came in one piece.
    pub async fn pieces(&self, version: &Version) -> Result<Vec<Piece>, ObjectError> {
        let sequence = version.sequence;
        self.db.read(move |connection| Ok(store::pieces(connection, sequence)?)).await
    }
}

/// The part of `stretches` that lies within `range`, counted from the first byte of the first.
fn cut(stretches: Vec<Stretch>, range: Range<u64>) -> Vec<Stretch> {
    let mut at = 0;
    let mut kept = Vec::new();
    for stretch in stretches {
        let size = match &stretch {
            Stretch::Memory(bytes) => bytes.len() as u64,
            Stretch::Blob { range, .. } => range.end - range.start,
        };
        let (from, upto) = (range.start.clamp(at, at + size), range.end.clamp(at, at + size));
        if from < upto {
            kept.push(match stretch {
                Stretch::Memory(bytes) => {
                    let within = |offset: u64| usize::try_from(offset - at).unwrap_or(bytes.len());
                    Stretch::Memory(bytes.slice(within(from)..within(upto)))
                }
                Stretch::Blob { name, range } => Stretch::Blob {
                    name,
                    range: range.start + (from - at)..range.start + (upto - at),
                },
            });
        }
        at += size;
    }
    kept
}

fn publish(
    tx: &mut Tx<'_>,
    bucket: &BucketName,
    mut new: New,
    precondition: Option<&Precondition>,
) -> Result<(Version, Vec<String>), PutError> {
    let Some(row) = store::bucket(tx, bucket)? else {
        return Err(PutError::NoSuchBucket(bucket.clone()));
    };
    if let Some(precondition) = precondition {
        let current = store::latest(tx, &row, &new.key)?.filter(|there| !there.is_delete_marker);
        match (precondition, current) {
            (Precondition::Absent, None) | (Precondition::Exists, Some(_)) => {}
            (Precondition::Etag(etag), Some(there)) if there.etag == *etag => {}
            (Precondition::Absent | Precondition::Etag(_), Some(_)) => {
                return Err(PutError::Precondition(new.key));
            }
            (Precondition::Exists | Precondition::Etag(_), None) => {
                return Err(PutError::NoSuchKey(new.key));
            }
        }
    }
    if let Some(default) = row.bucket.lock.and_then(|lock| lock.default)
        && new.metadata.retention.is_none()
    {
        new.metadata.retention = Some(default.from(new.at));
    }
    let (version, freed) = store::push(tx, &row, new)?;
    tx.announce(Event::ObjectWritten {
        bucket: version.bucket.clone(),
        key: version.key.clone(),
        version: version.id.clone(),
    });
    Ok((version, freed))
}
