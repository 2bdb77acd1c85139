//! Multipart uploads: parts come in any order and become one object at once.
//!
//! Completing costs as much as there are parts, not bytes: the object takes the parts' files over as they are.

use serde::{Deserialize, Serialize};

use super::blob::{Damaged, Declared, Received};
use super::checksum::{Algorithm, Checksum, Span, etag_of_parts};
use super::store::{self, Body, BucketRow, New};
use super::upload_store::{self, Part, Upload};
use super::{DiskError, Metadata, Objects, Precondition, PutError, Settled, publish};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{BucketName, ObjectKey, VersionId, random_text};
use crate::limits::{COMPLETED_UPLOAD_LIFE_MS, PART_MIN_BYTES};

/// An upload about to begin.
#[derive(Clone, Debug)]
pub struct NewUpload {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub metadata: Metadata,
    pub owner: String,
    /// The checksum that the whole object shall have.
    pub checksum: Option<(Algorithm, Span)>,
}

/// Why something could not be done with an upload.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("upload `{0}` does not exist: it was completed or aborted, or is another key's")]
    NoSuchUpload(String),
    #[error("the part has a {} checksum, but {} was announced", declared.name(), announced.name())]
    OtherAlgorithm { declared: Algorithm, announced: Algorithm },
    #[error("part {number} arrived damaged")]
    Damaged { number: u16, source: Damaged },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

/// A part as the one who completes an upload names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    pub number: u16,
    /// Without quotes; `None` when it was left out.
    pub etag: Option<String>,
    pub checksum: Option<(Algorithm, String)>,
}

/// How an upload shall become an object.
#[derive(Clone, Debug)]
pub struct Complete {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub upload: String,
    /// In the order in which they make up the object.
    pub parts: Vec<Stated>,
    pub precondition: Option<Precondition>,
    pub size_bytes: Option<u64>,
    /// The checksum of the whole object, in base64.
    pub checksum: Option<(Algorithm, String)>,
}

/// What a completed upload has become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    pub version: VersionId,
    /// Whether the bucket kept versions then.
    pub versioned: bool,
    pub etag: String,
    pub checksum: Option<Checksum>,
}

/// Why an upload was not completed. It is still there and can be completed or aborted.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("upload `{0}` does not exist: it was aborted, or is another key's")]
    NoSuchUpload(String),
    #[error("`{0}` does not exist")]
    NoSuchKey(ObjectKey),
    #[error("`{0}` is not in the state that the write asked for")]
    Precondition(ObjectKey),
    #[error("part {0} was not uploaded, or is not the one that was named")]
    NoSuchPart(u16),
    #[error("the parts are not named in ascending order")]
    PartOrder,
    #[error("part {number} has {size_bytes} bytes, and only the last may have less than 5 MiB")]
    PartTooSmall { number: u16, size_bytes: u64, etag: String },
    #[error("the object as put together is not the one that was declared")]
    Damaged(#[from] Damaged),
    #[error("the object index failed")]
    Index(#[from] rusqlite::Error),
}

impl Part {
    /// The part's `ETag`, without quotes.
    pub fn etag(&self) -> String {
        hex::encode(&self.md5)
    }

    /// The part's own checksum.
    pub fn checksum(&self) -> Checksum {
        Checksum::whole(self.algorithm, &self.digest)
    }
}

fn under_way(
    connection: &rusqlite::Connection,
    bucket: &BucketName,
    key: &ObjectKey,
    id: &str,
) -> Result<Upload, UploadError> {
    let Some(row) = store::bucket(connection, bucket)? else {
        return Err(UploadError::NoSuchBucket(bucket.clone()));
    };
    match upload_store::upload(connection, row.id, key, id)? {
        Some(upload) if upload.answer.is_none() => Ok(upload),
        Some(_) | None => Err(UploadError::NoSuchUpload(id.to_owned())),
    }
}

impl Objects {
    /// Begins an upload.
    pub async fn create_upload(&self, new: NewUpload) -> Result<Upload, UploadError> {
        let upload = Upload {
            number: 0,
            id: random_text(64),
            key: new.key,
            initiated: self.clock.now(),
            owner: new.owner,
            metadata: new.metadata,
            checksum: new.checksum,
            answer: None,
        };
        self.db
            .write(move |tx| {
                let Some(row) = store::bucket(tx, &new.bucket)? else {
                    return Err(UploadError::NoSuchBucket(new.bucket));
                };
                let number = upload_store::insert_upload(tx, row.id, &upload)?;
                Ok(Upload { number, ..upload })
            })
            .await
    }

    /// The upload of that id, if it is under way.
    pub async fn upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: &str,
    ) -> Result<Upload, UploadError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), id.to_owned());
        self.db.read(move |connection| under_way(connection, &bucket, &key, &id)).await
    }

    /// The parts of an upload that are there, by number.
    pub async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, UploadError> {
        let number = upload.number;
        self.db.read(move |connection| Ok(upload_store::parts(connection, number)?)).await
    }

    /// Writes a part from a body that has come in, instead of an earlier one of that number.
    ///
    /// Panics if the body was not received with the algorithm that the upload announced.
    pub async fn put_part(
        &self,
        (bucket, upload, number): (&BucketName, &Upload, u16),
        declared: Declared,
        received: Received,
    ) -> Result<Part, UploadError> {
        if let Some((announced, _)) = upload.checksum
            && let Some((declared, _)) = declared.checksum
            && announced != declared
        {
            return Err(UploadError::OtherAlgorithm { declared, announced });
        }
        received.check(&declared).map_err(|source| UploadError::Damaged { number, source })?;
        // Without an announcement the whole object gets a CRC64NVME, so the parts must have one.
        let announced = upload.checksum.map(|(algorithm, _)| algorithm);
        let asked = announced.unwrap_or(Algorithm::Crc64Nvme);
        let digest =
            received.digest(asked).expect("a part is received with its upload's algorithm");
        let part = Part {
            number,
            size_bytes: received.size_bytes(),
            md5: received.digests.md5.to_vec(),
            algorithm: asked,
            digest: digest.to_vec(),
            modified: self.clock.now(),
        };
        let Settled { body, placed } = self.settle(received).await?;
        let (bucket, key, id) = (bucket.clone(), upload.key.clone(), upload.id.clone());
        let (part, freed) = self
            .db
            .write(move |tx| {
                let upload = under_way(tx, &bucket, &key, &id)?;
                let freed = upload_store::replace_part(tx, upload.number, &part, &body)?;
                if let Some(placed) = placed {
                    placed.keep();
                }
                Ok::<_, UploadError>((part, freed))
            })
            .await?;
        self.folder.remove(freed).await;
        Ok(part)
    }

    /// Drops an upload and its parts.
    pub async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: &str,
    ) -> Result<(), UploadError> {
        let (bucket, key, id) = (bucket.clone(), key.clone(), id.to_owned());
        let freed = self
            .db
            .write(move |tx| {
                let upload = under_way(tx, &bucket, &key, &id)?;
                Ok::<_, UploadError>(upload_store::delete_upload(tx, upload.number)?)
            })
            .await?;
        self.folder.remove(freed).await;
        Ok(())
    }

    /// Makes an upload's parts the new current version of its key. Asked again, answers the same.
    pub async fn complete_upload(&self, complete: Complete) -> Result<Completed, CompleteError> {
        let at = self.clock.now();
        let (completed, freed) = self.db.write(move |tx| complete_in(tx, &complete, at)).await?;
        self.folder.remove(freed).await;
        Ok(completed)
    }
}

fn complete_in(
    tx: &mut Tx<'_>,
    complete: &Complete,
    at: Timestamp,
) -> Result<(Completed, Vec<String>), CompleteError> {
    let Some(row) = store::bucket(tx, &complete.bucket)? else {
        return Err(CompleteError::NoSuchBucket(complete.bucket.clone()));
    };
    let no_upload = || CompleteError::NoSuchUpload(complete.upload.clone());
    let upload =
        upload_store::upload(tx, row.id, &complete.key, &complete.upload)?.ok_or_else(no_upload)?;
    if let Some(answer) = &upload.answer {
        let completed = serde_json::from_str(answer).map_err(|_| no_upload())?;
        return Ok((completed, Vec::new()));
    }
    let parts = chosen(&upload_store::parts(tx, upload.number)?, &complete.parts)?;
    let new = assemble(&upload, &parts, complete, at)?;
    let (etag, checksum) = (new.etag.clone(), new.checksum.clone());
    let (version, mut freed) = publish_parts(tx, &row, complete, new)?;
    let numbers: Vec<u16> = parts.iter().map(|part| part.number).collect();
    upload_store::move_parts(tx, upload.number, &numbers, version.sequence)?;
    let versioned = row.bucket.versioning != super::Versioning::Never;
    let completed = Completed { version: version.id, versioned, etag, checksum };
    let answer = store::to_json(&completed);
    freed.extend(upload_store::close_upload(
        tx,
        upload.number,
        &answer,
        (at, COMPLETED_UPLOAD_LIFE_MS),
    )?);
    Ok((completed, freed))
}

/// The parts that were named, each checked against what was uploaded.
fn chosen(there: &[Part], stated: &[Stated]) -> Result<Vec<Part>, CompleteError> {
    let mut parts: Vec<Part> = Vec::with_capacity(stated.len());
    for (index, named) in stated.iter().enumerate() {
        if parts.last().is_some_and(|before| before.number >= named.number) {
            return Err(CompleteError::PartOrder);
        }
        let found = there.binary_search_by_key(&named.number, |part| part.number);
        let part =
            found.map(|at| &there[at]).map_err(|_| CompleteError::NoSuchPart(named.number))?;
        let same_etag = named.etag.as_ref().is_none_or(|etag| *etag == part.etag());
        let same_checksum = named.checksum.as_ref().is_none_or(|(algorithm, value)| {
            *algorithm != part.algorithm || *value == part.checksum().value
        });
        if !same_etag || !same_checksum {
            return Err(CompleteError::NoSuchPart(named.number));
        }
        if index + 1 < stated.len() && part.size_bytes < PART_MIN_BYTES {
            let (number, size_bytes) = (part.number, part.size_bytes);
            return Err(CompleteError::PartTooSmall { number, size_bytes, etag: part.etag() });
        }
        parts.push(part.clone());
    }
    Ok(parts)
}

/// The object that the parts make, checked against what was declared of it.
fn assemble(
    upload: &Upload,
    parts: &[Part],
    complete: &Complete,
    at: Timestamp,
) -> Result<New, CompleteError> {
    let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
    if let Some(declared) = complete.size_bytes
        && declared != size_bytes
    {
        return Err(Damaged::Size { declared, received: size_bytes }.into());
    }
    let digests: Vec<Vec<u8>> = parts.iter().map(|part| part.md5.clone()).collect();
    let (algorithm, span) = upload.checksum.unwrap_or((Algorithm::Crc64Nvme, Span::FullObject));
    let digested: Vec<(Vec<u8>, u64)> =
        parts.iter().map(|part| (part.digest.clone(), part.size_bytes)).collect();
    let checksum = Checksum::of_parts(algorithm, span, &digested);
    if let (Some((declared_as, declared)), Some(checksum)) = (&complete.checksum, &checksum)
        && *declared_as == algorithm
        // A composite checksum may come with or without its number of parts.
        && *declared != checksum.value
        && checksum.value.split('-').next() != Some(declared)
    {
        let (declared, received) = (declared.clone(), checksum.value.clone());
        return Err(Damaged::Checksum { algorithm, declared, received }.into());
    }
    Ok(New {
        key: complete.key.clone(),
        marker: false,
        size_bytes,
        etag: etag_of_parts(&digests),
        owner: upload.owner.clone(),
        checksum,
        metadata: upload.metadata.clone(),
        parts: Some(u32::try_from(parts.len()).unwrap_or(u32::MAX)),
        body: Body::None,
        at,
    })
}

fn publish_parts(
    tx: &mut Tx<'_>,
    row: &BucketRow,
    complete: &Complete,
    new: New,
) -> Result<(super::Version, Vec<String>), CompleteError> {
    publish(tx, &row.bucket.name, new, complete.precondition.as_ref()).map_err(
        |error| match error {
            PutError::NoSuchBucket(bucket) => CompleteError::NoSuchBucket(bucket),
            PutError::NoSuchKey(key) => CompleteError::NoSuchKey(key),
            PutError::Precondition(key) => CompleteError::Precondition(key),
            PutError::Damaged { source, .. } => CompleteError::Damaged(source),
            PutError::Index(error) => CompleteError::Index(error),
            PutError::Disk(_) => unreachable!("publishing touches no file"),
        },
    )
}
