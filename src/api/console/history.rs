//! The versions of one key, and the bytes of one of them.

use axum::body::Body;
use http::{HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::Surroundings;
use super::failure::Failure;
use crate::api::wire::Response;
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
struct Told {
    version_id: VersionId,
    is_latest: bool,
    is_delete_marker: bool,
    size_bytes: u64,
    etag: String,
    /// RFC 3339, in UTC, to the millisecond.
    modified: String,
}

impl Told {
    fn of(version: Version) -> Told {
        let at = version.modified.to_utc();
        let format = time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        Told {
            version_id: version.id,
            is_latest: version.is_latest,
            is_delete_marker: version.is_delete_marker,
            size_bytes: version.size_bytes,
            etag: version.etag,
            modified: at.format(&format).expect("a moment has all of these"),
        }
    }
}

fn asked(uri: &Uri, name: &'static str) -> Result<String, Failure> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(given, _)| *given == name).map(|(_, value)| value);
    let value = percent_decode_str(found.ok_or(Failure::NoParameter(name))?);
    Ok(value.decode_utf8_lossy().into_owned())
}

fn place(uri: &Uri) -> Result<(BucketName, ObjectKey), Failure> {
    let bad = |error: &dyn std::error::Error| Failure::BadParameter(error.to_string());
    let bucket = BucketName::parse(asked(uri, "bucket")?).map_err(|error| bad(&error))?;
    let key = ObjectKey::parse(asked(uri, "key")?).map_err(|error| bad(&error))?;
    Ok((bucket, key))
}

/// `GET /versions?bucket=B&key=K`.
pub(super) async fn versions(around: &Surroundings, uri: &Uri) -> Result<History, Failure> {
    let (bucket, key) = place(uri)?;
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

/// `GET /object?bucket=B&key=K&version_id=V`: the bytes as they are.
pub(super) async fn object(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let (bucket, key) = place(uri)?;
    let bad = |error: &dyn std::error::Error| Failure::BadParameter(error.to_string());
    let id = VersionId::parse(asked(uri, "version_id")?).map_err(|error| bad(&error))?;
    let version = match around.objects.find(&bucket, &key, Some(&id)).await {
        Err(FindError::Index(error)) => return Err(Failure::Journal(error)),
        Err(error) => return Err(Failure::NoSuchVersion(error.to_string())),
        Ok(version) if version.is_delete_marker => return Err(Failure::DeleteMarker(id)),
        Ok(version) => version,
    };
    let reading = around.objects.read(&version, 0..version.size_bytes).await?;
    let mut response = Response::new(Body::from_stream(reading.into_stream()));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CONTENT_LENGTH, version.size_bytes.into());
    Ok(response)
}
