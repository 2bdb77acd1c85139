//! Objects copied, and what every copy reads from.

use http::HeaderMap;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETagCondition,
    MetadataDirective, TaggingDirective,
};
use s3s::{S3Response, S3Result, s3_error};

use super::read::{Asked, Outcome, outcome};
use super::{
    Settled, algorithm, checksum_type, metadata_of, precondition, settled, show_expiration,
    shown_id, strong, with_checksum,
};
use crate::api::s3::buckets::moment;
use crate::api::s3::operations::{bucket_name, object_key, version_id};
use crate::api::s3::request::Given;
use crate::api::s3::target::Target;
use crate::api::s3::{Surroundings, access, error, sse};
use crate::id::VersionId;
use crate::limits::OBJECT_PUT_MAX_BYTES;
use crate::objects::{Metadata, Precondition, Put, Version};

/// The conditions of a copy on its source. AWS: what fails is 412, never 304.
#[expect(clippy::struct_field_names, reason = "they are the headers' names")]
pub(in crate::api::s3) struct SourceConditions {
    pub(in crate::api::s3) if_match: Option<ETagCondition>,
    pub(in crate::api::s3) if_none_match: Option<ETagCondition>,
    pub(in crate::api::s3) if_modified_since: Option<s3s::dto::Timestamp>,
    pub(in crate::api::s3) if_unmodified_since: Option<s3s::dto::Timestamp>,
}

/// Finds what a copy copies.
pub(in crate::api::s3) async fn source(
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

pub(in crate::api::s3) async fn copy(
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
