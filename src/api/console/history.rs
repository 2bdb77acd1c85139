//! The versions of one key, and the bytes of one of them.

use axum::body::Body;
use http::{HeaderValue, Uri, header};
use serde::Serialize;

use super::failure::Failure;
use super::{Surroundings, query};
use crate::api::wire::Response;
use crate::clock::Timestamp;
use crate::id::{BucketName, ObjectKey, VersionId};
use crate::limits::LIST_PAGE_MAX;
use crate::objects::{After, Entry, FindError, ObjectError, Query, Shown, Version};

/// All versions of a key, the newest first. A key that never was has none.
#[derive(Debug, Serialize)]
pub(super) struct History {
    bucket: BucketName,
    key: ObjectKey,
    versions: Vec<Told>,
}

/// One version or delete marker.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    version_id: VersionId,
    is_latest: bool,
    is_delete_marker: bool,
    size_bytes: u64,
    etag: String,
    /// RFC 3339, in UTC, to the millisecond.
    modified: String,
}

impl Told {
    pub(super) fn of(version: Version) -> Told {
        Told {
            version_id: version.id,
            is_latest: version.is_latest,
            is_delete_marker: version.is_delete_marker,
            size_bytes: version.size_bytes,
            etag: version.etag,
            modified: moment(version.modified),
        }
    }
}

/// RFC 3339, in UTC, to the millisecond.
pub(super) fn moment(at: Timestamp) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    at.to_utc().format(&format).expect("a moment has all of these")
}

/// `GET /versions?bucket=B&key=K`.
pub(super) async fn versions(around: &Surroundings, uri: &Uri) -> Result<History, Failure> {
    let (bucket, key) = (query::bucket(uri)?, query::key(uri)?);
    let mut versions: Vec<Told> = Vec::new();
    let mut after = After::Start;
    loop {
        let query = Query {
            shown: Shown::Versions,
            prefix: key.to_string(),
            delimiter: None,
            after,
            limit: LIST_PAGE_MAX,
        };
        let page = match around.objects.list(&bucket, query).await {
            Err(ObjectError::NoSuchBucket(_)) => break,
            page => page?,
        };
        let mut last = None;
        for entry in page.entries {
            let Entry::Version(version) = entry else { continue };
            // Longer keys that begin like this one come behind it.
            if version.key != key {
                return Ok(History { bucket, key, versions });
            }
            last = Some(version.id.clone());
            versions.push(Told::of(*version));
        }
        match last.filter(|_| page.more) {
            Some(id) => after = After::Version(key.clone(), id),
            None => break,
        }
    }
    Ok(History { bucket, key, versions })
}

/// `GET /object?bucket=B&key=K[&version_id=V][&download=1]`: the bytes as they are.
pub(super) async fn object(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let (bucket, key) = (query::bucket(uri)?, query::key(uri)?);
    let version = find(around, &bucket, &key, query::version(uri)?.as_ref()).await?;
    let reading = around.objects.read(&version, 0..version.size_bytes).await?;
    let mut response = Response::new(Body::from_stream(reading.into_stream()));
    let headers = response.headers_mut();
    // Never what the object says of itself: a page out of a bucket would be one of ours.
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_LENGTH, version.size_bytes.into());
    if query::maybe(uri, "download").is_some() {
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let disposition = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}"))
            .expect("an encoded name is plain text");
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// A version that has bytes; the current one where none is named.
pub(super) async fn find(
    around: &Surroundings,
    bucket: &BucketName,
    key: &ObjectKey,
    id: Option<&VersionId>,
) -> Result<Version, Failure> {
    match around.objects.find(bucket, key, id).await {
        Err(FindError::Index(error)) => Err(Failure::Journal(error)),
        Err(error) => Err(Failure::NoSuchVersion(error.to_string())),
        Ok(version) if version.is_delete_marker => Err(Failure::DeleteMarker(version.id)),
        Ok(version) => Ok(version),
    }
}
