//! Objects: put, got, copied, deleted.

use std::ops::Range;

use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{
    Checksum as WireChecksum, ChecksumAlgorithm, ChecksumType, CopyObjectInput, CopyObjectOutput,
    CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition,
    GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, MetadataDirective, ObjectAttributes,
    ObjectPart, PutObjectInput, PutObjectOutput, StorageClass, StreamingBlob, TaggingDirective,
};
use s3s::{S3Response, S3Result, s3_error};

use super::buckets::{moment, set};
use super::operations::{bucket_name, object_key, version_id};
use super::request::{Given, header_of};
use super::settings::Ownership;
use super::target::Target;
use super::{Surroundings, access, acl, answer, error, lifecycle, listing, lock, sse};
use crate::clock::Timestamp;
use crate::id::{ObjectKey, VersionId};
use crate::limits::{LIST_PAGE_MAX, OBJECT_PUT_MAX_BYTES};
use crate::objects::{
    Algorithm, Checksum, DeleteCondition, Deletion, Metadata, ObjectError, Objects, Piece,
    Precondition, Put, Reading, Received, Version, Versioning,
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

// ---- get and head

/// What GET and HEAD ask, in one shape.
struct Asked {
    version_id: Option<String>,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<s3s::dto::Timestamp>,
    if_unmodified_since: Option<s3s::dto::Timestamp>,
    range: Option<s3s::dto::Range>,
    part_number: Option<i32>,
    with_checksum: bool,
    /// Headers to answer with instead of the object's own.
    instead: Vec<(&'static str, String)>,
}

macro_rules! asked {
    ($input:expr) => {
        Asked {
            version_id: $input.version_id,
            if_match: $input.if_match,
            if_none_match: $input.if_none_match,
            if_modified_since: $input.if_modified_since,
            if_unmodified_since: $input.if_unmodified_since,
            range: $input.range,
            part_number: $input.part_number,
            with_checksum: $input.checksum_mode.is_some_and(|mode| mode.as_str() == "ENABLED"),
            instead: [
                ("content-type", $input.response_content_type),
                ("content-language", $input.response_content_language),
                ("cache-control", $input.response_cache_control),
                ("content-disposition", $input.response_content_disposition),
                ("content-encoding", $input.response_content_encoding),
                ("expires", $input.response_expires.map(|at| answer::http_date(millis(at)))),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        }
    };
}

pub(super) fn millis(at: s3s::dto::Timestamp) -> Timestamp {
    let at: time::OffsetDateTime = at.into();
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// An answer to GET or HEAD but for the bytes.
struct Look {
    version: Version,
    range: Range<u64>,
    headers: HeaderMap,
}

async fn look(
    surroundings: &Surroundings,
    given: &Given,
    place: (&str, &str),
    asked: Asked,
) -> S3Result<Look> {
    let version = find(surroundings, place, asked.version_id.as_deref()).await?;
    given.encryption.check_read(version.metadata.encryption.as_ref())?;
    let mut headers = headers_of(&version, &asked);
    show_expiration(&mut headers, given, &version);
    if let Some(id) = shown_id(surroundings, &version).await? {
        set(&mut headers, "x-amz-version-id", &id);
    }
    match outcome(&version, &asked, surroundings.objects.now()) {
        Outcome::Go => {}
        Outcome::Failed => return Err(error::precondition()),
        Outcome::NotModified => return Err(error::not_modified(headers)),
    }
    let whole = 0..version.size_bytes;
    let range = match (asked.part_number, asked.range) {
        (Some(_), Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter"
            ));
        }
        (Some(number), None) => Some(part_range(surroundings, &version, number).await?),
        (None, Some(range)) if still_the_same(given.if_range.as_deref(), &version) => {
            let range = range.check(version.size_bytes).ok().filter(|range| !range.is_empty());
            Some(range.ok_or_else(|| error::bad_range(version.size_bytes))?)
        }
        (None, _) => None,
    };
    if let (Some(_), Some(parts)) = (asked.part_number, version.parts) {
        set(&mut headers, "x-amz-mp-parts-count", &parts.to_string());
    }
    if let Some(range) = range.as_ref().filter(|range| !range.is_empty()) {
        let (first, last) = (range.start, range.end - 1);
        let value = format!("bytes {first}-{last}/{}", version.size_bytes);
        set(&mut headers, "content-range", &value);
    }
    let range = range.unwrap_or_else(|| whole.clone());
    // AWS: a part of the bytes comes without the checksum of all of them.
    if asked.with_checksum
        && range == whole
        && let Some(checksum) = &version.checksum
    {
        let name = HeaderName::try_from(header_of(checksum.algorithm));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&checksum.value)) {
            headers.insert(name, value);
        }
        set(&mut headers, "x-amz-checksum-type", listing::span_name(checksum));
    }
    set(&mut headers, "content-length", &(range.end - range.start).to_string());
    Ok(Look { version, range, headers })
}

fn headers_of(version: &Version, asked: &Asked) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Metadata {
        content_type,
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        expires,
        website_redirect_location,
        storage_class,
        tags,
        user,
        encryption,
        retention: _,
        legal_hold: _,
        grants: _,
    } = &version.metadata;
    sse::show(&mut headers, encryption.as_ref());
    lock::show(&mut headers, &version.metadata);
    let kind = content_type.as_deref().unwrap_or("binary/octet-stream");
    set(&mut headers, "content-type", kind);
    for (name, value) in [
        ("cache-control", cache_control),
        ("content-disposition", content_disposition),
        ("content-encoding", content_encoding),
        ("content-language", content_language),
        ("expires", expires),
        ("x-amz-website-redirect-location", website_redirect_location),
        ("x-amz-storage-class", storage_class),
    ] {
        if let Some(value) = value {
            set(&mut headers, name, value);
        }
    }
    if !tags.is_empty() {
        set(&mut headers, "x-amz-tagging-count", &tags.len().to_string());
    }
    for (name, value) in user {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
    for (name, value) in &asked.instead {
        set(&mut headers, name, value);
    }
    set(&mut headers, "accept-ranges", "bytes");
    set(&mut headers, "etag", &format!("\"{}\"", version.etag));
    set(&mut headers, "last-modified", &answer::http_date(version.modified));
    headers
}

/// What the conditions of a read come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Go,
    Failed,
    NotModified,
}

fn matches(condition: &ETagCondition, version: &Version) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == version.etag,
    }
}

/// RFC 9110, 13.2.2: a condition on the `ETag` overrides the one on the date.
fn outcome(version: &Version, asked: &Asked, now: Timestamp) -> Outcome {
    let newer_than = |at: &s3s::dto::Timestamp| {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
        seconds(version.modified) > seconds(millis(at.clone()))
    };
    let failed = match (&asked.if_match, &asked.if_unmodified_since) {
        (Some(condition), _) => !matches(condition, version),
        (None, Some(at)) => newer_than(at),
        (None, None) => false,
    };
    if failed {
        return Outcome::Failed;
    }
    let not_modified = match (&asked.if_none_match, &asked.if_modified_since) {
        (Some(condition), _) => matches(condition, version),
        // AWS: a moment that is still to come says nothing.
        (None, Some(at)) => millis(at.clone()) <= now && !newer_than(at),
        (None, None) => false,
    };
    if not_modified { Outcome::NotModified } else { Outcome::Go }
}

/// `If-Range`: the range is meant only if the object is the one the caller has the rest of.
fn still_the_same(if_range: Option<&str>, version: &Version) -> bool {
    if_range.is_none_or(|given| {
        given.trim_matches('"') == version.etag || given == answer::http_date(version.modified)
    })
}

async fn part_range(
    surroundings: &Surroundings,
    version: &Version,
    number: i32,
) -> S3Result<Range<u64>> {
    let bad = || s3_error!(InvalidPart, "The requested partnumber is not satisfiable");
    let number = u32::try_from(number).ok().filter(|number| *number >= 1).ok_or_else(bad)?;
    if version.parts.is_none() && number == 1 {
        return Ok(0..version.size_bytes);
    }
    let mut start = 0;
    for piece in surroundings.objects.pieces(version).await? {
        if piece.number == number {
            return Ok(start..start + piece.size_bytes);
        }
        start += piece.size_bytes;
    }
    Err(bad())
}

pub(super) async fn head(
    surroundings: &Surroundings,
    given: Given,
    input: HeadObjectInput,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let asked = asked!(input);
    let look = look(surroundings, &given, (&input.bucket, &input.key), asked).await?;
    let mut response = S3Response::new(HeadObjectOutput::default());
    response.headers = look.headers;
    Ok(response)
}

pub(super) async fn get(
    surroundings: &Surroundings,
    given: Given,
    input: GetObjectInput,
) -> S3Result<S3Response<GetObjectOutput>> {
    let place = (input.bucket.as_str(), input.key.as_str());
    // A version that is replaced between the look and the read is looked for again; who would lose three such races
    // in a row is told that it is not there.
    let mut tries = 3;
    loop {
        tries -= 1;
        let asked = asked!(input.clone());
        let look = look(surroundings, &given, place, asked).await?;
        match surroundings.objects.read(&look.version, look.range.clone()).await {
            Err(ObjectError::NoSuchKey(_)) if tries > 0 => {}
            reading => {
                let body = Some(streamed(reading?));
                let output = GetObjectOutput { body, ..Default::default() };
                let mut response = S3Response::new(output);
                response.headers = look.headers;
                return Ok(response);
            }
        }
    }
}

fn streamed(reading: Reading) -> StreamingBlob {
    let body = if let Some(bytes) = reading.in_memory() {
        s3s::Body::from(bytes)
    } else {
        let frames = reading.into_stream().map(|chunk| chunk.map(Frame::data));
        s3s::Body::http_body_unsync(StreamBody::new(frames))
    };
    StreamingBlob::from(body)
}

/// The attributes that an object has for `GetObjectAttributes`.
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// AWS: at least one attribute is asked for, and none that there is not.
pub(super) fn check_attributes(headers: &HeaderMap) -> S3Result<()> {
    let given = headers.get_all("x-amz-object-attributes");
    let names: Vec<String> = given
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    if names.is_empty() || names.iter().any(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(s3_error!(InvalidArgument, "Invalid attribute name specified."));
    }
    Ok(())
}

/// The answer of [`attributes`] as S3 writes it: the only one whose `ETag` has no quotes.
pub(super) async fn unquoted(answer: http::Response<s3s::Body>) -> http::Response<s3s::Body> {
    let (mut head, mut body) = answer.into_parts();
    // A thousand parts at most, and what s3s wrote is in memory already.
    let bytes = body.store_all_limited(crate::limits::S3_XML_MAX_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace("<ETag>&quot;", "<ETag>");
    let text = text.replace("<ETag>\"", "<ETag>").replace("&quot;</ETag>", "</ETag>");
    let text = text.replace("\"</ETag>", "</ETag>");
    head.headers.remove(http::header::CONTENT_LENGTH);
    http::Response::from_parts(head, s3s::Body::from(text))
}

pub(super) async fn attributes(
    surroundings: &Surroundings,
    given: Given,
    input: GetObjectAttributesInput,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let version =
        find(surroundings, (&input.bucket, &input.key), input.version_id.as_deref()).await?;
    given.encryption.check_read(version.metadata.encryption.as_ref())?;
    let asked = |name: &str| {
        input.object_attributes.iter().any(|attribute| {
            attribute.as_str().split(',').any(|attribute| attribute.trim() == name)
        })
    };
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(moment(version.modified)),
        version_id: shown_id(surroundings, &version).await?,
        ..Default::default()
    };
    if asked(ObjectAttributes::ETAG) {
        output.e_tag = Some(strong(&version.etag));
    }
    if asked(ObjectAttributes::OBJECT_SIZE) {
        output.object_size = Some(version.size_bytes.cast_signed());
    }
    if asked(ObjectAttributes::STORAGE_CLASS) {
        let class = version.metadata.storage_class.as_deref().unwrap_or(StorageClass::STANDARD);
        output.storage_class = Some(class.to_owned().into());
    }
    if asked(ObjectAttributes::CHECKSUM)
        && let Some(checksum) = &version.checksum
    {
        let wire =
            WireChecksum { checksum_type: Some(checksum_type(checksum)), ..Default::default() };
        output.checksum = Some(with_checksum!(wire, checksum.algorithm, checksum.value.clone()));
    }
    if asked(ObjectAttributes::OBJECT_PARTS) && version.parts.is_some() {
        let pieces = surroundings.objects.pieces(&version).await?;
        output.object_parts = Some(object_parts(&version, &pieces, &input));
    }
    Ok(S3Response::new(output))
}

fn object_parts(
    version: &Version,
    pieces: &[Piece],
    input: &GetObjectAttributesInput,
) -> GetObjectAttributesParts {
    let marker = input.part_number_marker.unwrap_or(0);
    let most = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).min(LIST_PAGE_MAX);
    let number = |piece: &Piece| i32::try_from(piece.number).unwrap_or(i32::MAX);
    let behind: Vec<&Piece> = pieces.iter().filter(|piece| number(piece) > marker).collect();
    let shown = &behind[..most.min(behind.len())];
    let more = shown.len() < behind.len();
    let parts = shown.iter().map(|piece| {
        let part = ObjectPart {
            part_number: Some(number(piece)),
            size: Some(piece.size_bytes.cast_signed()),
            ..Default::default()
        };
        match (&version.checksum, &piece.digest) {
            (Some(of), Some(digest)) => {
                let value = Checksum::whole(of.algorithm, digest).value;
                with_checksum!(part, of.algorithm, value)
            }
            _ => part,
        }
    });
    GetObjectAttributesParts {
        is_truncated: Some(more),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: shown.last().map(|piece| number(piece)),
        part_number_marker: Some(marker),
        parts: Some(parts.collect()),
        total_parts_count: i32::try_from(pieces.len()).ok(),
    }
}

// ---- copy

/// The conditions of a copy on its source. AWS: what fails is 412, never 304.
#[expect(clippy::struct_field_names, reason = "they are the headers' names")]
pub(super) struct SourceConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<s3s::dto::Timestamp>,
    pub(super) if_unmodified_since: Option<s3s::dto::Timestamp>,
}

/// Finds what a copy copies.
pub(super) async fn source(
    surroundings: &Surroundings,
    given: &Given,
    from: &CopySource,
    conditions: SourceConditions,
) -> S3Result<(Version, Option<VersionId>)> {
    let CopySource::Bucket { bucket, key, version_id: id } = from else {
        return Err(s3_error!(NotImplemented, "Access points are not implemented."));
    };
    let target = Target::of_object(bucket, key, id.as_deref());
    let headers = HeaderMap::new();
    access::check(surroundings, &given.caller, &access::Want::read(&target, &headers)).await?;
    let (name, key, id) = (bucket_name(bucket)?, object_key(key)?, version_id(id.as_deref())?);
    let version = surroundings.objects.find(&name, &key, id.as_ref()).await?;
    if version.is_delete_marker {
        return Err(match id {
            None => error::no_such_key(),
            Some(_) => s3_error!(
                InvalidRequest,
                "The source of a copy request may not specifically refer to a delete marker by \
                 version id."
            ),
        });
    }
    let asked = Asked {
        version_id: None,
        if_match: conditions.if_match,
        if_none_match: conditions.if_none_match,
        if_modified_since: conditions.if_modified_since,
        if_unmodified_since: conditions.if_unmodified_since,
        range: None,
        part_number: None,
        with_checksum: false,
        instead: Vec::new(),
    };
    given.encryption.check_source(version.metadata.encryption.as_ref())?;
    match outcome(&version, &asked, surroundings.objects.now()) {
        Outcome::Go => Ok((version, id)),
        Outcome::Failed | Outcome::NotModified => Err(error::precondition()),
    }
}

/// Whether a copy takes something over or brings its own; anything else that is written there is refused.
fn replaces(directive: Option<&str>, name: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown {} directive.", name)),
    }
}

/// The conditions of a copy on its target, which `s3s` leaves out.
fn target_condition(given: &Given) -> S3Result<Option<Precondition>> {
    let condition = |text: &str| match text.trim() {
        "*" => ETagCondition::Any,
        text => {
            let bare = text.trim_start_matches("W/").trim_matches('"');
            ETagCondition::ETag(strong(bare))
        }
    };
    let (if_match, if_none_match) =
        (given.if_match.as_deref().map(condition), given.if_none_match.as_deref().map(condition));
    precondition(if_match.as_ref(), if_none_match.as_ref())
}

pub(super) async fn copy(
    surroundings: &Surroundings,
    given: Given,
    input: CopyObjectInput,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let (bucket, key) = (bucket_name(&input.bucket)?, object_key(&input.key)?);
    let conditions = SourceConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let (from, id) = source(surroundings, &given, &input.copy_source, conditions).await?;
    if from.size_bytes > OBJECT_PUT_MAX_BYTES {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: \
             5368709120"
        ));
    }
    let new_metadata =
        replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "metadata")?;
    let new_tags =
        replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "tagging")?;
    let changes = new_metadata
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || given.encryption.is_any();
    if from.bucket == bucket && from.key == key && id.is_none() && !changes {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing the object's metadata, storage class, website redirect location or encryption \
             attributes."
        ));
    }
    let asked = algorithm(input.checksum_algorithm.as_ref())?;
    let given_metadata = metadata_of!(input, given);
    // AWS: ACL, lock and encryption are never copied, and neither is the storage class.
    let mut metadata = Metadata {
        storage_class: given_metadata.storage_class.clone(),
        website_redirect_location: given_metadata.website_redirect_location.clone(),
        encryption: given_metadata.encryption.clone(),
        retention: given_metadata.retention,
        legal_hold: given_metadata.legal_hold,
        grants: None,
        ..if new_metadata { given_metadata.clone() } else { from.metadata.clone() }
    };
    metadata.tags = if new_tags { given_metadata.tags } else { from.metadata.tags.clone() };
    let Settled { metadata, owner } = settled(surroundings, &given, metadata)?;
    let precondition = target_condition(&given)?;
    let put = Put { owner, precondition, ..Put::plain(bucket, key, metadata) };
    let version = surroundings.objects.copy(&from, put, asked).await?;
    let mut result = CopyObjectResult {
        e_tag: Some(strong(&version.etag)),
        last_modified: Some(moment(version.modified)),
        ..Default::default()
    };
    if let Some(checksum) = &version.checksum {
        result.checksum_type = Some(checksum_type(checksum));
        result = with_checksum!(result, checksum.algorithm, checksum.value.clone());
    }
    let mut response = S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: shown_id(surroundings, &from).await?,
        version_id: Some(version.id.to_string()).filter(|id| id != "null"),
        ..Default::default()
    });
    sse::show(&mut response.headers, version.metadata.encryption.as_ref());
    show_expiration(&mut response.headers, &given, &version);
    Ok(response)
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
