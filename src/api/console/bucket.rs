//! The S3 browser: buckets, pages of keys or versions, upload, deletion, restore.

use futures::StreamExt as _;
use http::{StatusCode, Uri, header};
use serde::Serialize;

use super::failure::Failure;
use super::history::{self, Told};
use super::{Surroundings, json, query};
use crate::api::wire::{Request, Response};
use crate::id::{BucketName, ObjectKey, VersionId};
use crate::limits::{CONSOLE_UPLOAD_MAX_BYTES, LIST_PAGE_MAX};
use crate::objects::{
    After, Deletion, Entry, Metadata, Put, PutError, Query, Refused, Shown, Version, Versioning,
};

#[derive(Debug, Serialize)]
pub(super) struct BucketTold {
    name: BucketName,
    versioning: &'static str,
    created: String,
}

/// A page of keys, or of versions where they were asked for.
#[derive(Debug, Serialize)]
struct PageTold {
    /// Prefixes that are rolled up.
    folders: Vec<String>,
    entries: Vec<EntryTold>,
    /// Where the next page goes on; null on the last.
    next: Option<Next>,
}

#[derive(Debug, Serialize)]
struct Next {
    after_key: String,
    after_version: Option<VersionId>,
}

#[derive(Debug, Serialize)]
struct EntryTold {
    key: ObjectKey,
    #[serde(flatten)]
    version: Told,
}

/// `GET /buckets`.
pub(super) async fn buckets(around: &Surroundings) -> Result<Response, Failure> {
    let buckets = around.objects.buckets().await?;
    let told = buckets.into_iter().map(|bucket| BucketTold {
        versioning: match bucket.versioning {
            Versioning::Never => "Never",
            Versioning::Enabled => "Enabled",
            Versioning::Suspended => "Suspended",
        },
        created: history::moment(bucket.created),
        name: bucket.name,
    });
    Ok(json(StatusCode::OK, &told.collect::<Vec<_>>()))
}

/// `GET /objects?bucket=B&prefix=P&versions=1&delimiter=/&after_key=K&after_version=V&limit=N`.
pub(super) async fn list(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let bucket = query::bucket(uri)?;
    let after_version = query::maybe(uri, "after_version").map(VersionId::parse).transpose();
    let after_version = after_version.map_err(|error| Failure::BadParameter(error.to_string()))?;
    let after = match (query::maybe(uri, "after_key"), after_version) {
        (None, _) => After::Start,
        (Some(key), None) => After::Key(key),
        (Some(key), Some(version)) => {
            let key =
                ObjectKey::parse(key).map_err(|error| Failure::BadParameter(error.to_string()))?;
            After::Version(key, version)
        }
    };
    let most = u64::try_from(LIST_PAGE_MAX).unwrap_or(u64::MAX);
    let limit = query::number(uri, "limit", most)?.clamp(1, most);
    let asked = Query {
        shown: match query::maybe(uri, "versions").as_deref() {
            Some("1") => Shown::Versions,
            _ => Shown::Objects,
        },
        prefix: query::maybe(uri, "prefix").unwrap_or_default(),
        delimiter: query::maybe(uri, "delimiter").filter(|delimiter| !delimiter.is_empty()),
        after,
        limit: usize::try_from(limit).unwrap_or(LIST_PAGE_MAX),
    };
    let shown = asked.shown;
    let page = around.objects.list(&bucket, asked).await?;
    let next = page.entries.last().filter(|_| page.more).map(|last| match last {
        Entry::Group(prefix) => Next { after_key: prefix.clone(), after_version: None },
        Entry::Version(version) => Next {
            after_key: version.key.to_string(),
            after_version: (shown == Shown::Versions).then(|| version.id.clone()),
        },
    });
    let (mut folders, mut entries) = (Vec::new(), Vec::new());
    for entry in page.entries {
        match entry {
            Entry::Group(prefix) => folders.push(prefix),
            Entry::Version(version) => {
                let key = version.key.clone();
                entries.push(EntryTold { key, version: Told::of(*version) });
            }
        }
    }
    Ok(json(StatusCode::OK, &PageTold { folders, entries, next }))
}

/// `PUT /object?bucket=B&key=K`: the body becomes a new version.
pub(super) async fn upload(around: &Surroundings, request: Request) -> Result<Response, Failure> {
    let (bucket, key) = (query::bucket(request.uri())?, query::key(request.uri())?);
    let kind = request.headers().get(header::CONTENT_TYPE);
    let content_type = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let mut incoming = around.objects.receive(None);
    let mut body = request.into_body().into_data_stream();
    let mut size_bytes: u64 = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Failure::BrokenOff)?;
        size_bytes += chunk.len() as u64;
        if size_bytes > CONSOLE_UPLOAD_MAX_BYTES {
            return Err(Failure::BodyTooLarge);
        }
        incoming.write(chunk).await.map_err(PutError::from)?;
    }
    let received = incoming.finish().await.map_err(PutError::from)?;
    let metadata = Metadata { content_type, ..Metadata::default() };
    let put = Put::plain(bucket, key, metadata);
    let version = Box::pin(around.objects.put(put, received)).await?;
    Ok(json(StatusCode::CREATED, &Told::of(version)))
}

/// `DELETE /object?bucket=B&key=K[&version_id=V]`: behind a delete marker, or one version for good.
pub(super) async fn delete(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let bucket = query::bucket(uri)?;
    let deletion = Deletion { version: query::version(uri)?, ..Deletion::of(query::key(uri)?) };
    let done = around.objects.delete_many(&bucket, "", vec![deletion]).await?;
    match done.into_iter().next() {
        Some(Err(refused @ (Refused::Locked(_) | Refused::Condition(_)))) => {
            Err(Failure::Refused(refused.to_string()))
        }
        Some(Ok(_)) | None => Ok(json(StatusCode::OK, &serde_json::json!({}))),
    }
}

/// `POST /restore?bucket=B&key=K&version_id=V`: a copy of that version becomes the current one.
pub(super) async fn restore(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let (bucket, key) = (query::bucket(uri)?, query::key(uri)?);
    let id = query::version(uri)?.ok_or(Failure::NoParameter("version_id"))?;
    let from: Version = history::find(around, &bucket, &key, Some(&id)).await?;
    let put = Put::plain(bucket, key, from.metadata.clone());
    let version = Box::pin(around.objects.copy(&from, put, None)).await?;
    Ok(json(StatusCode::CREATED, &Told::of(version)))
}
