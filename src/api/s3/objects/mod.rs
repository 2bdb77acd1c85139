//! Objects: put, got, copied, deleted.

mod attributes;
mod copy;
mod read;

use futures::StreamExt as _;
use http::HeaderMap;
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition,
    PutObjectInput, PutObjectOutput, StorageClass, StreamingBlob,
};
use s3s::{S3Response, S3Result, s3_error};

pub(super) use self::attributes::{attributes, check_attributes, unquoted};
pub(super) use self::copy::{SourceConditions, copy, source};
pub(super) use self::read::{get, head};
use super::buckets::set;
use super::operations::{bucket_name, object_key, version_id};
use super::request::Given;
use super::settings::Ownership;
use super::{Surroundings, acl, error, lifecycle, listing, lock, sse};
use crate::clock::Timestamp;
use crate::id::{ObjectKey, VersionId};
use crate::limits::OBJECT_PUT_MAX_BYTES;
use crate::objects::{
    Algorithm, Checksum, DeleteCondition, Deletion, Metadata, Objects, Precondition, Put, Received,
    Version, Versioning,
};

// ---- shared with multipart

/// Takes a body in, hashed with `algorithm` too.
pub(super) async fn take_in(
    objects: &Objects,
    body: Option<StreamingBlob>,
    given: &Given,
    algorithm: Option<Algorithm>,
) -> S3Result<Received> {
    if given.size_bytes.is_some_and(|size| size > OBJECT_PUT_MAX_BYTES) {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed size"
        ));
    }
    let mut incoming = objects.receive(algorithm);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|failed| error::of_body(failed.as_ref()))?;
            incoming.write(chunk).await?;
        }
    }
    Ok(incoming.finish().await?)
}

/// Fills the five checksum members that many of S3's shapes have.
macro_rules! with_checksum {
    ($shape:expr, $algorithm:expr, $value:expr) => {{
        let mut shape = $shape;
        let value = Some($value);
        match $algorithm {
            $crate::objects::Algorithm::Crc32 => shape.checksum_crc32 = value,
            $crate::objects::Algorithm::Crc32c => shape.checksum_crc32c = value,
            $crate::objects::Algorithm::Crc64Nvme => shape.checksum_crc64nvme = value,
            $crate::objects::Algorithm::Sha1 => shape.checksum_sha1 = value,
            $crate::objects::Algorithm::Sha256 => shape.checksum_sha256 = value,
        }
        shape
    }};
}
pub(super) use with_checksum;

pub(super) fn checksum_type(checksum: &Checksum) -> ChecksumType {
    ChecksumType::from_static(listing::span_name(checksum))
}

pub(super) fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(super) fn millis(at: s3s::dto::Timestamp) -> Timestamp {
    let at: time::OffsetDateTime = at.into();
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The algorithm of that name; S3's newest are not known here.
pub(super) fn algorithm(named: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let Some(named) = named else { return Ok(None) };
    match Algorithm::named(named.as_str()) {
        Some(algorithm) => Ok(Some(algorithm)),
        None => Err(s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )),
    }
}

/// The conditions of a write. AWS: `If-None-Match` takes nothing but `*`.
pub(super) fn precondition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Option<Precondition>> {
    match (if_match, if_none_match) {
        (None, None) => Ok(None),
        (None, Some(ETagCondition::Any)) => Ok(Some(Precondition::Absent)),
        (Some(ETagCondition::Any), None) => Ok(Some(Precondition::Exists)),
        (Some(ETagCondition::ETag(etag)), None) => {
            Ok(Some(Precondition::Etag(etag.value().to_owned())))
        }
        (_, Some(_)) => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented"
        )),
    }
}

/// The storage classes of S3 (S3 API reference, `x-amz-storage-class`).
const STORAGE_CLASSES: [&str; 12] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
];

/// What is written, and by whom, once it is clear that the bucket takes it so.
pub(super) struct Settled {
    pub(super) metadata: Metadata,
    /// A canonical id.
    pub(super) owner: String,
}

/// Completes what is kept beside a new object's bytes with what the bucket has to say of it.
pub(super) fn settled(
    surroundings: &Surroundings,
    given: &Given,
    mut metadata: Metadata,
) -> S3Result<Settled> {
    let place = given.place.as_deref().ok_or_else(error::no_such_bucket)?;
    let (bucket, told) = place;
    if given.lock.any && bucket.lock.is_none() {
        return Err(lock::no_lock());
    }
    let class = metadata.storage_class.as_deref();
    if class.is_some_and(|class| !STORAGE_CLASSES.contains(&class)) {
        return Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid"));
    }
    let bucket_owner = surroundings.owner(&bucket.owner).canonical_id.as_str();
    let caller = given.caller.canonical_id.as_str();
    let gives_up = given.acl.canned.as_deref() == Some("bucket-owner-full-control");
    let owner = match Ownership::of(told) {
        Ownership::Enforced => bucket_owner,
        Ownership::Preferred if gives_up => bucket_owner,
        Ownership::Preferred | Ownership::Writer => caller,
    };
    metadata.grants = given.acl.of_write(surroundings, told, acl::Whose { owner, bucket_owner })?;
    Ok(Settled { metadata, owner: owner.to_owned() })
}

pub(super) fn storage_class(asked: Option<StorageClass>) -> Option<String> {
    let named = asked.map(|class| class.as_str().to_owned());
    named.filter(|class| class != StorageClass::STANDARD)
}

/// The headers of an object that several requests can bring along.
macro_rules! metadata_of {
    ($input:expr, $given:expr) => {
        $crate::objects::Metadata {
            content_type: $input.content_type,
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            expires: $given.expires.clone(),
            website_redirect_location: $input.website_redirect_location,
            storage_class: $crate::api::s3::objects::storage_class($input.storage_class),
            tags: $crate::api::s3::tagging::of_header($input.tagging.as_deref())?,
            user: $given.user.clone(),
            encryption: $given.encryption.of_write($given.told("encryption")),
            retention: $given.lock.retention,
            legal_hold: $given.lock.legal_hold,
            grants: None,
        }
    };
}
pub(super) use metadata_of;

/// Finds a version that is an object.
pub(super) async fn find(
    surroundings: &Surroundings,
    (bucket, key): (&str, &str),
    id: Option<&str>,
) -> S3Result<Version> {
    let (bucket, key, id) = (bucket_name(bucket)?, object_key(key)?, version_id(id)?);
    let version = surroundings.objects.find(&bucket, &key, id.as_ref()).await?;
    match (version.is_delete_marker, &id) {
        (false, _) => Ok(version),
        (true, None) => Err(error::behind_marker(&version)),
        (true, Some(_)) => Err(error::is_marker(&version)),
    }
}

/// The version id to show: AWS shows none in a bucket that never kept versions.
pub(super) async fn shown_id(
    surroundings: &Surroundings,
    version: &Version,
) -> S3Result<Option<String>> {
    if version.id == VersionId::null() {
        let bucket = surroundings.objects.bucket(&version.bucket).await?;
        if bucket.versioning == Versioning::Never {
            return Ok(None);
        }
    }
    Ok(Some(version.id.to_string()))
}

// ---- put

pub(super) async fn put(
    surroundings: &Surroundings,
    given: Given,
    mut input: PutObjectInput,
) -> S3Result<S3Response<PutObjectOutput>> {
    let bucket = bucket_name(&input.bucket)?;
    let key = object_key(&input.key)?;
    let precondition = precondition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let mut metadata = metadata_of!(input, given);
    if let Some(user) = input.metadata {
        metadata.user.extend(user);
    }
    // Before the body is asked for: a client that waits for "100 Continue" learns at once that there is no bucket.
    let Settled { metadata, owner } = settled(surroundings, &given, metadata)?;
    let asked = algorithm(input.checksum_algorithm.as_ref())?;
    let algorithm = given.algorithm().or(asked);
    let received = take_in(&surroundings.objects, input.body.take(), &given, algorithm).await?;
    let put = Put { bucket, key, metadata, owner, precondition, declared: given.declared()? };
    let version = surroundings.objects.put(put, received).await?;
    let mut output = PutObjectOutput { e_tag: Some(strong(&version.etag)), ..Default::default() };
    // AWS: a put says the id of the version it made, and none where there are no versions to tell apart.
    output.version_id = Some(version.id.to_string()).filter(|id| id != "null");
    if let Some(checksum) = &version.checksum {
        output.checksum_type = Some(checksum_type(checksum));
        output = with_checksum!(output, checksum.algorithm, checksum.value.clone());
    }
    let mut response = S3Response::new(output);
    sse::show(&mut response.headers, version.metadata.encryption.as_ref());
    show_expiration(&mut response.headers, &given, &version);
    Ok(response)
}

/// Says when a lifecycle rule will end an object.
fn show_expiration(headers: &mut HeaderMap, given: &Given, version: &Version) {
    let document = given.told("lifecycle");
    if version.is_latest
        && let Some(at) = lifecycle::expiration_of(document, version)
    {
        set(headers, "x-amz-expiration", &at);
    }
}

// ---- delete

fn etag_text(condition: &ETagCondition) -> String {
    match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(etag) => etag.value().to_owned(),
    }
}

pub(super) async fn delete(
    surroundings: &Surroundings,
    given: Given,
    input: DeleteObjectInput,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let bucket = bucket_name(&input.bucket)?;
    let deletion = Deletion {
        key: object_key(&input.key)?,
        version: version_id(input.version_id.as_deref())?,
        condition: DeleteCondition {
            etag: input.if_match.as_ref().map(etag_text),
            modified: input.if_match_last_modified_time.map(millis),
            size_bytes: input.if_match_size.map(i64::cast_unsigned),
        },
        bypass: given.bypass,
    };
    let owner = &given.caller.canonical_id;
    let mut done = surroundings.objects.delete_many(&bucket, owner, vec![deletion]).await?;
    let deleted = done.pop().expect("there is an answer to every deletion")?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: Some(true).filter(|_| deleted.is_marker),
        version_id: deleted.version.map(|id| id.to_string()),
        ..Default::default()
    }))
}

/// Where an object can be found, as a URL.
pub(super) fn url_of(origin: &str, bucket: &str, key: &ObjectKey) -> String {
    format!("{origin}/{bucket}/{}", listing::url_encoded(key.as_str()))
}
