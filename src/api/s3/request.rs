//! What `s3s` would refuse or misread, taken out of a request before it sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use s3s::dto::{Range, Timestamp, TimestampFormat};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::target::Target;
use super::{acl, lock, signature, sse};
use crate::config::Identity;
use crate::id::AccountId;
use crate::limits::{S3_XML_MAX_BYTES, USER_METADATA_MAX_BYTES};
use crate::objects::{Algorithm, Bucket, Declared, Settings};

/// Where the trailers of a body will be, once it has been read.
#[derive(Clone, Debug)]
pub(super) enum Trailers {
    /// There are none.
    None,
    /// `s3s` has verified the body they end.
    Verified(TrailingHeaders),
    /// We have decoded it ourselves.
    Unverified(Arc<Mutex<HeaderMap>>),
}

impl Trailers {
    fn value(&self, name: &str) -> Option<String> {
        let text = |headers: &HeaderMap| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        match self {
            Trailers::None => None,
            Trailers::Verified(handle) => handle.read(text).flatten(),
            Trailers::Unverified(headers) => {
                text(&headers.lock().expect("nobody panics with trailers in hand"))
            }
        }
    }
}

/// What a request said that goes past `s3s`, in its extensions.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) caller: Identity,
    /// The body's size in bytes, without any framing.
    pub(super) size_bytes: Option<u64>,
    pub(super) md5: Option<[u8; 16]>,
    /// An algorithm and a digest in base64, from a header.
    pub(super) checksum: Option<(Algorithm, String)>,
    /// The checksum that comes behind the body.
    pub(super) trailing: Option<Algorithm>,
    pub(super) trailers: Trailers,
    /// As it was written: AWS keeps any text.
    pub(super) expires: Option<String>,
    /// Without `x-amz-meta-`, names in lower case, values as they came.
    pub(super) user: BTreeMap<String, String>,
    pub(super) if_range: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) encryption: sse::Asked,
    pub(super) lock: lock::Asked,
    pub(super) acl: acl::Asked,
    /// They mean to get round a governance retention.
    pub(super) bypass: bool,
    /// The bucket it is about, where there is one, and what that was told.
    pub(super) place: Option<Arc<(Bucket, Settings)>>,
    /// How the caller reached us, for `Location`: scheme and host.
    pub(super) origin: String,
}

impl Given {
    /// What the bucket was told; nothing where there is none.
    pub(super) fn told(&self, name: &str) -> Option<&str> {
        self.place.as_ref().and_then(|place| place.1.get(name))
    }

    /// The algorithm that the body shall be read with.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm).or(self.trailing)
    }

    /// What was declared of the body. Only after the body has been read: it may say so itself, at its end.
    pub(super) fn declared(&self) -> S3Result<Declared> {
        let mut checksum = self.checksum.clone();
        if let Some(algorithm) = self.trailing {
            let value = self.trailers.value(&header_of(algorithm)).ok_or_else(|| {
                super::error::custom(
                    "MalformedTrailerError",
                    http::StatusCode::BAD_REQUEST,
                    "The request contained trailing data that was not well-formed or did not \
                     conform to our published schema.",
                )
            })?;
            checksum = Some((algorithm, well_formed(algorithm, value)?));
        }
        Ok(Declared { size_bytes: self.size_bytes, md5: self.md5, checksum })
    }
}

/// `x-amz-checksum-` and the algorithm's name.
pub(super) fn header_of(algorithm: Algorithm) -> String {
    format!("x-amz-checksum-{}", algorithm.name().to_ascii_lowercase())
}

fn well_formed(algorithm: Algorithm, value: String) -> S3Result<String> {
    // A composite checksum ends in the number of parts.
    let digest = value.split('-').next().unwrap_or_default();
    match STANDARD.decode(digest) {
        Ok(bytes) if bytes.len() == algorithm.len_bytes() => Ok(value),
        Ok(_) | Err(_) => {
            let name = header_of(algorithm);
            Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", name))
        }
    }
}

/// Makes a verified request one in path style that is not signed. Answers how the caller reached us.
pub(super) fn normalise(head: &mut http::request::Parts) -> String {
    let tls = head.extensions.get::<crate::api::wire::Connection>().is_some_and(|c| c.tls);
    head.uri = signature::strip(&head.uri, &mut head.headers);
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    head.uri = path_style(&head.uri, &host);
    format!("{}://{host}", if tls { "https" } else { "http" })
}

/// The same URI with the bucket in its path, if the host names one.
pub(super) fn path_style(uri: &Uri, host: &str) -> Uri {
    match bucket_of_host(host) {
        Some(bucket) => {
            let path = format!("/{bucket}{}", uri.path());
            signature::with_path_and_query(uri, &path, uri.query())
        }
        None => uri.clone(),
    }
}

/// The bucket in a virtual-hosted-style host: `bucket.s3.anything` or `bucket.localhost`.
fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if let Some((bucket, _)) = name.split_once(".s3.") {
        return Some(bucket).filter(|bucket| !bucket.is_empty());
    }
    name.strip_suffix(".localhost").filter(|bucket| !bucket.is_empty() && *bucket != "s3")
}

/// AWS: an object's bytes come with their number, or in chunks.
pub(super) fn check_length(head: &http::request::Parts, target: &Target) -> S3Result<()> {
    let has = |name: &str| head.headers.contains_key(name);
    let told =
        has("content-length") || has("transfer-encoding") || has("x-amz-decoded-content-length");
    if target.brings_bytes(&head.method) && !told && !has("x-amz-copy-source") {
        return Err(s3_error!(
            MissingContentLength,
            "You must provide the Content-Length HTTP header."
        ));
    }
    Ok(())
}

/// Refuses a request that expects the bucket to be another account's.
pub(super) fn check_owner(headers: &HeaderMap, account: &AccountId) -> S3Result<()> {
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        let expected = headers.get(name);
        if expected.is_some_and(|expected| expected.as_bytes() != account.as_str().as_bytes()) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Who asks, what for, and when.
pub(super) struct Asking {
    pub(super) caller: Identity,
    pub(super) trailers: Trailers,
    pub(super) place: Option<Arc<(Bucket, Settings)>>,
    pub(super) origin: String,
    pub(super) now: crate::clock::Timestamp,
}

/// Takes out of the headers what `s3s` would refuse or misread.
pub(super) fn read(headers: &mut HeaderMap, asking: Asking) -> S3Result<Given> {
    let Asking { caller, trailers, place, origin, now } = asking;
    let length =
        headers.get("x-amz-decoded-content-length").or(headers.get(header::CONTENT_LENGTH));
    let length = length.cloned();
    let size_bytes = match length.as_ref().map(|value| value.to_str().unwrap_or_default().parse()) {
        None => None,
        Some(Ok(size)) => Some(size),
        Some(Err(_)) => {
            return Err(s3_error!(InvalidArgument, "The content length is not a number."));
        }
    };
    headers.remove("x-amz-decoded-content-length");
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    let trailing = headers.remove("x-amz-trailer").and_then(|names| {
        let names = String::from_utf8_lossy(names.as_bytes()).to_ascii_lowercase();
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| names.split(',').any(|name| name.trim() == header_of(*algorithm)))
    });
    strip_chunked(headers);
    tolerate(headers);
    let given = Given {
        caller,
        size_bytes,
        md5: md5(headers)?,
        checksum: checksum(headers)?,
        trailing,
        trailers,
        expires: text(headers, "expires"),
        user: user_metadata(headers)?,
        if_range: text(headers, "if-range"),
        if_match: text(headers, "if-match"),
        if_none_match: text(headers, "if-none-match"),
        encryption: sse::Asked::read(headers)?,
        lock: lock::Asked::read(headers, now)?,
        acl: acl::Asked::read(headers),
        bypass: text(headers, "x-amz-bypass-governance-retention")
            .is_some_and(|bypass| bypass.eq_ignore_ascii_case("true")),
        place,
        origin,
    };
    headers.remove(header::EXPIRES);
    headers.remove("content-md5");
    Ok(given)
}

/// AWS: `aws-chunked` is about the transfer and is not kept, however often it is there.
fn strip_chunked(headers: &mut HeaderMap) {
    let Some(encoding) = text(headers, "content-encoding") else { return };
    let tokens = encoding.split(',').map(str::trim);
    let left: Vec<&str> =
        tokens.filter(|token| !token.is_empty() && *token != "aws-chunked").collect();
    headers.remove(header::CONTENT_ENCODING);
    if !left.is_empty()
        && let Ok(value) = HeaderValue::from_str(&left.join(", "))
    {
        headers.insert(header::CONTENT_ENCODING, value);
    }
}

/// AWS: a range or a date that cannot be read is as if it were not there.
fn tolerate(headers: &mut HeaderMap) {
    let range = text(headers, "range");
    if range.is_some_and(|range| Range::parse(&range).is_err()) {
        headers.remove(header::RANGE);
    }
    for name in [
        "if-modified-since",
        "if-unmodified-since",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-unmodified-since",
    ] {
        let date = text(headers, name);
        if date.is_some_and(|date| Timestamp::parse(TimestampFormat::HttpDate, &date).is_err()) {
            headers.remove(name);
        }
    }
}

fn md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let bytes = STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let malformed = || s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid.");
    bytes.map(Some).ok_or_else(malformed)
}

fn checksum(headers: &HeaderMap) -> S3Result<Option<(Algorithm, String)>> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        let Some(value) = text(headers, &header_of(algorithm)) else { continue };
        if found.is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
        found = Some((algorithm, well_formed(algorithm, value)?));
    }
    Ok(found)
}

fn user_metadata(headers: &mut HeaderMap) -> S3Result<BTreeMap<String, String>> {
    const PREFIX: &str = "x-amz-meta-";
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    let mut user = BTreeMap::new();
    let mut size = 0;
    for name in names {
        let values: Vec<String> = headers
            .get_all(&name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        headers.remove(&name);
        let (name, value) = (name.as_str()[PREFIX.len()..].to_owned(), values.join(","));
        size += name.len() + value.len();
        user.insert(name, value);
    }
    if size > USER_METADATA_MAX_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    Ok(user)
}

/// Whether the body is XML about the bucket or the object, and not the object itself.
pub(super) fn has_xml_body(method: &Method, target: &Target) -> bool {
    *method == Method::POST || (*method == Method::PUT && !target.brings_bytes(method))
}

/// An XML body, whole and compared with its digests: `s3s` compares nothing.
pub(super) async fn checked(
    mut body: s3s::Body,
    given: &Given,
    target: &Target,
) -> S3Result<bytes::Bytes> {
    let bytes = body
        .store_all_limited(S3_XML_MAX_BYTES)
        .await
        .map_err(|error| super::error::of_body(error.as_ref()))?;
    // With an upload id, a checksum in the headers is about the object and not about this body.
    let about_the_object = target.has("uploadId");
    let declared = given.declared()?;
    if let Some((algorithm, value)) = declared.checksum.filter(|_| !about_the_object)
        && STANDARD.encode(algorithm.digest(&bytes)) != value
    {
        return Err(super::error::bad_checksum(algorithm));
    }
    if let Some(md5) = declared.md5 {
        use md5::Digest as _;
        if md5 != <[u8; 16]>::from(md5::Md5::digest(&bytes)) {
            return Err(super::error::bad_md5());
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_in_the_host_is_found_and_a_plain_host_is_none() {
        assert_eq!(bucket_of_host("things.s3.localhost:5055"), Some("things"));
        assert_eq!(bucket_of_host("a.b.s3.us-east-1.amazonaws.com"), Some("a.b"));
        assert_eq!(bucket_of_host("things.localhost"), Some("things"));
        for plain in ["localhost:5055", "127.0.0.1:5055", "s3.localhost", "host"] {
            assert_eq!(bucket_of_host(plain), None, "{plain}");
        }
    }

    #[test]
    fn aws_chunked_is_not_an_encoding_that_is_kept() {
        for (given, kept) in [
            ("gzip, aws-chunked", Some("gzip")),
            ("aws-chunked, aws-chunked", None),
            ("gzip", Some("gzip")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, given.parse().unwrap());
            strip_chunked(&mut headers);
            assert_eq!(text(&headers, "content-encoding").as_deref(), kept);
        }
    }
}
