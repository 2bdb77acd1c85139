//! Objects got and looked at: conditions, ranges, parts.

use std::ops::Range;

use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{
    ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    StreamingBlob,
};
use s3s::{S3Response, S3Result, s3_error};

use super::{find, millis, show_expiration, shown_id};
use crate::api::s3::buckets::set;
use crate::api::s3::request::{Given, header_of};
use crate::api::s3::{Surroundings, answer, error, listing, lock, sse};
use crate::clock::Timestamp;
use crate::objects::{Metadata, ObjectError, Reading, Version};

/// What GET and HEAD ask, in one shape.
pub(super) struct Asked {
    pub(super) version_id: Option<String>,
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<s3s::dto::Timestamp>,
    pub(super) if_unmodified_since: Option<s3s::dto::Timestamp>,
    pub(super) range: Option<s3s::dto::Range>,
    pub(super) part_number: Option<i32>,
    pub(super) with_checksum: bool,
    /// Headers to answer with instead of the object's own.
    pub(super) instead: Vec<(&'static str, String)>,
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
pub(super) enum Outcome {
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
pub(super) fn outcome(version: &Version, asked: &Asked, now: Timestamp) -> Outcome {
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

pub(in crate::api::s3) async fn head(
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

pub(in crate::api::s3) async fn get(
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
