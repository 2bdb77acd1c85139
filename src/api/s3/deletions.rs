//! `DeleteObjects`: many keys at once.
//!
//! The wire is ours, because keys may hold characters that `s3s` can neither read nor write as XML.

use http::HeaderMap;
use s3s::dto::{Timestamp as WireTimestamp, TimestampFormat};
use s3s::{S3Error, S3Result};

use super::objects::millis;
use super::operations::{bucket_name, object_key, version_id};
use super::request::Given;
use super::target::Target;
use super::xml::{self, Node, Xml, malformed};
use super::{Surroundings, access, error};
use crate::limits::DELETE_OBJECTS_MAX;
use crate::objects::{DeleteCondition, Deleted, Deletion};

/// A key to delete, as it was asked for.
struct Asked {
    key: String,
    version: Option<String>,
}

fn deletion(object: &Node, asked: &Asked, bypass: bool) -> S3Result<Deletion> {
    let modified = object.text_of("LastModifiedTime").map(|at| {
        WireTimestamp::parse(TimestampFormat::HttpDate, at)
            .or_else(|_| WireTimestamp::parse(TimestampFormat::DateTime, at))
            .map_err(|_| malformed())
    });
    let size = object.text_of("Size").map(|size| size.trim().parse().map_err(|_| malformed()));
    let etag = object.text_of("ETag").map(|etag| etag.trim_matches('"').to_owned());
    Ok(Deletion {
        key: object_key(&asked.key)?,
        version: version_id(asked.version.as_deref())?,
        condition: DeleteCondition {
            etag,
            modified: modified.transpose()?.map(millis),
            size_bytes: size.transpose()?,
        },
        bypass,
    })
}

/// A request to delete many keys, but for its body.
pub(super) struct Request<'r> {
    pub(super) given: &'r Given,
    pub(super) target: &'r Target,
    pub(super) headers: &'r HeaderMap,
}

/// Answers a `DeleteObjects`.
pub(super) async fn answer(
    surroundings: &Surroundings,
    Request { given, target, headers }: Request<'_>,
    body: &[u8],
) -> S3Result<http::Response<s3s::Body>> {
    let bucket = bucket_name(&target.bucket)?;
    let place = given.place.as_deref().ok_or_else(error::no_such_bucket)?;
    let judge = access::Judge::of(surroundings, &given.caller, place);
    let document = Node::parse(body)?;
    let objects: Vec<&Node> = document.all("Object").collect();
    if document.name != "Delete" || objects.is_empty() || objects.len() > DELETE_OBJECTS_MAX {
        return Err(malformed());
    }
    let (mut deletions, mut asked, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for object in objects {
        let key = object.text_of("Key").ok_or_else(malformed)?.to_owned();
        let version = object.text_of("VersionId").filter(|id| !id.is_empty()).map(str::to_owned);
        let one = Asked { key, version };
        let single = Target::of_object(&target.bucket, &one.key, one.version.as_deref());
        match deletion(object, &one, given.bypass) {
            Ok(_) if !judge.allows(&access::Want::delete(&single, headers)).await => {
                errors.push((one, access::denied()));
            }
            Ok(deletion) => {
                deletions.push(deletion);
                asked.push(one);
            }
            Err(error) => errors.push((one, error)),
        }
    }
    // AWS: somebody unknown who may delete nothing at all is turned away at the door.
    if access::is_nobody(&given.caller) && deletions.is_empty() {
        return Err(access::denied());
    }
    let owner = &given.caller.canonical_id;
    let done = surroundings.objects.delete_many(&bucket, owner, deletions).await?;
    let mut deleted = Vec::new();
    for (one, done) in asked.into_iter().zip(done) {
        match done {
            Ok(done) => deleted.push((one, done)),
            Err(refused) => errors.push((one, refused.into())),
        }
    }
    if document.text_of("Quiet").is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true")) {
        deleted.clear();
    }
    Ok(xml::answer(Xml::document("DeleteResult", |xml| {
        for (one, done) in &deleted {
            xml.element("Deleted", |xml| write_deleted(xml, one, done));
        }
        for (one, error) in &errors {
            xml.element("Error", |xml| write_error(xml, one, error));
        }
    })))
}

fn write_deleted(xml: &mut Xml, asked: &Asked, done: &Deleted) {
    xml.leaf("Key", &asked.key);
    if let Some(version) = &asked.version {
        xml.leaf("VersionId", version);
    }
    if let Some(marker) = done.version.as_ref().filter(|_| done.is_marker) {
        xml.leaf("DeleteMarker", "true");
        xml.leaf("DeleteMarkerVersionId", marker.as_str());
    }
}

fn write_error(xml: &mut Xml, asked: &Asked, error: &S3Error) {
    xml.leaf("Key", &asked.key);
    if let Some(version) = &asked.version {
        xml.leaf("VersionId", version);
    }
    xml.leaf("Code", error.code().as_str());
    xml.leaf("Message", error.message().unwrap_or_default());
}
