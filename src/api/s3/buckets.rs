//! Buckets: made, looked at, told to keep versions, removed.

use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    Bucket as ListedBucket, BucketLocationConstraint, BucketVersioningStatus, CreateBucketInput,
    CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, ObjectOwnership, Owner,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Response, S3Result, s3_error};

use super::operations::bucket_name;
use super::request::Given;
use super::settings::Ownership;
use super::{Surroundings, acl};
use crate::clock::Timestamp;
use crate::config::Identity;
use crate::id::{BucketName, Region};
use crate::objects::{BucketError, NewBucket, Versioning};

/// The region whose buckets have no location constraint, for historical reasons.
const CLASSIC_REGION: &str = "us-east-1";

pub(super) fn owner_of(identity: &Identity) -> Owner {
    Owner {
        display_name: Some(identity.display_name.clone()),
        id: Some(identity.canonical_id.clone()),
    }
}

pub(super) fn moment(at: Timestamp) -> s3s::dto::Timestamp {
    at.to_utc().into()
}

pub(super) async fn list(
    surroundings: &Surroundings,
    given: Given,
    input: ListBucketsInput,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let most = match input.max_buckets {
        None => usize::MAX,
        Some(most) => usize::try_from(most)
            .ok()
            .filter(|most| (1..=10_000).contains(most))
            .ok_or_else(|| s3_error!(InvalidArgument, "max-buckets must be between 1 and 10000"))?,
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.unwrap_or_default();
    let mut left = surroundings.objects.buckets().await?.into_iter().filter(|bucket| {
        let owner = surroundings.owner(&bucket.owner);
        owner.canonical_id == given.caller.canonical_id
            && bucket.name.as_str().starts_with(&prefix)
            && bucket.name.as_str() > after.as_str()
            && input.bucket_region.as_ref().is_none_or(|region| *region == bucket.region.as_str())
    });
    let mut buckets = Vec::new();
    for bucket in left.by_ref().take(most) {
        buckets.push(ListedBucket {
            bucket_region: Some(bucket.region.to_string()),
            creation_date: Some(moment(bucket.created)),
            name: Some(bucket.name.to_string()),
        });
    }
    let more = left.next().is_some();
    let last = buckets.last().and_then(|bucket| bucket.name.clone());
    Ok(S3Response::new(ListBucketsOutput {
        continuation_token: last.filter(|_| more),
        buckets: Some(buckets),
        owner: Some(owner_of(&given.caller)),
        prefix: input.prefix,
    }))
}

/// Names that S3 keeps for itself, and labels that no host name can have.
fn is_reserved(name: &str) -> bool {
    name.starts_with("sthree-")
        || ["-s3alias", "--ol-s3", "--x-s3", ".mrap"].iter().any(|end| name.ends_with(end))
        || name.contains(".-")
        || name.contains("-.")
}

pub(super) async fn create(
    surroundings: &Surroundings,
    given: Given,
    input: CreateBucketInput,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let name = BucketName::parse(input.bucket)
        .ok()
        .filter(|name| !is_reserved(name.as_str()))
        .ok_or_else(|| s3_error!(InvalidBucketName, "The specified bucket is not valid."))?;
    let constraint = input.create_bucket_configuration.and_then(|asked| asked.location_constraint);
    let region = match constraint.as_ref().map(BucketLocationConstraint::as_str) {
        None | Some("") => surroundings.region.clone(),
        // AWS: that region is named by naming none.
        Some(CLASSIC_REGION) => {
            return Err(s3_error!(
                InvalidLocationConstraint,
                "The specified location-constraint is not valid"
            ));
        }
        // AWS: the oldest name of eu-west-1.
        Some("EU") => Region::parse("eu-west-1").expect("eu-west-1 is a region"),
        Some(region) => Region::parse(region).map_err(|_| {
            s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid")
        })?,
    };
    let location = Some(format!("/{name}"));
    let owner = &given.caller.canonical_id;
    let told = told(surroundings, &given, input.object_ownership.as_ref())?;
    let lock = input.object_lock_enabled_for_bucket == Some(true);
    let new = NewBucket { name: name.clone(), region, owner: owner.clone(), lock, settings: told };
    match surroundings.objects.make_bucket(new).await {
        Ok(_) => Ok(S3Response::new(CreateBucketOutput { location })),
        Err(BucketError::Exists(there))
            if surroundings.owner(&there.owner).canonical_id != *owner =>
        {
            Err(s3_error!(
                BucketAlreadyExists,
                "The requested bucket name is not available. The bucket namespace is shared by all \
                 users of the system. Please select a different name and try again."
            ))
        }
        // AWS: in us-east-1 making one's own bucket again succeeds.
        Err(BucketError::Exists(there)) if there.region.as_str() == CLASSIC_REGION => {
            let (_, told) = surroundings.objects.settings(&name).await?;
            if Ownership::of(&told) != Ownership::Enforced {
                let whose = acl::Whose { owner, bucket_owner: owner };
                let grants = given.acl.of_write(surroundings, &told, whose)?;
                let list = grants.map(|grants| acl::setting(&grants));
                surroundings.objects.set_setting(&name, "acl", list).await?;
            }
            Ok(S3Response::new(CreateBucketOutput { location }))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a new bucket is told from the start, where that is not what S3 gives every new bucket.
fn told(
    surroundings: &Surroundings,
    given: &Given,
    asked: Option<&ObjectOwnership>,
) -> S3Result<Vec<(&'static str, Option<String>)>> {
    let ownership = match asked {
        None => Ownership::from(surroundings.ownership),
        Some(asked) => Ownership::named(asked.as_str())
            .ok_or_else(|| s3_error!(InvalidArgument, "Invalid x-amz-object-ownership header"))?,
    };
    if ownership == Ownership::Enforced {
        let harmless = ["private", "bucket-owner-full-control"];
        let canned = given.acl.canned.as_deref();
        if !given.acl.is_none() && !canned.is_some_and(|canned| harmless.contains(&canned)) {
            return Err(acl::acl_with_ownership());
        }
        let document = asked.map(|asked| Ownership::document(asked.as_str()));
        return Ok(document
            .map(|document| ("ownershipControls", Some(document)))
            .into_iter()
            .collect());
    }
    // Whoever wants ACLs wants them to have an effect: nothing is shut from the start.
    let document = asked.map(|asked| Ownership::document(asked.as_str()));
    let mut told = vec![("ownershipControls", document), ("publicAccessBlock", None)];
    let owner = given.caller.canonical_id.as_str();
    let whose = acl::Whose { owner, bucket_owner: owner };
    if let Some(grants) = given.acl.grants(surroundings, whose)? {
        told.push(("acl", Some(acl::setting(&grants))));
    }
    Ok(told)
}

pub(super) async fn head(
    surroundings: &Surroundings,
    _: Given,
    input: HeadBucketInput,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let bucket = surroundings.objects.bucket(&bucket_name(&input.bucket)?).await?;
    let bucket_region = Some(bucket.region.to_string());
    Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
}

pub(super) async fn delete(
    surroundings: &Surroundings,
    _: Given,
    input: DeleteBucketInput,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    surroundings.objects.delete_bucket(&bucket_name(&input.bucket)?).await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(super) async fn location(
    surroundings: &Surroundings,
    _: Given,
    input: GetBucketLocationInput,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let bucket = surroundings.objects.bucket(&bucket_name(&input.bucket)?).await?;
    let region = Some(bucket.region.to_string()).filter(|region| region != CLASSIC_REGION);
    let location_constraint = region.map(BucketLocationConstraint::from);
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

pub(super) async fn versioning(
    surroundings: &Surroundings,
    _: Given,
    input: GetBucketVersioningInput,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let bucket = surroundings.objects.bucket(&bucket_name(&input.bucket)?).await?;
    let status = match bucket.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
}

pub(super) async fn set_versioning(
    surroundings: &Surroundings,
    _: Given,
    input: PutBucketVersioningInput,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let status = input.versioning_configuration.status;
    let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) | None => {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published \
                 schema"
            ));
        }
    };
    surroundings.objects.set_versioning(&bucket_name(&input.bucket)?, versioning).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

/// A header with a value of ours; one that cannot be a header is left out.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Bytes, not `str`: metadata goes back as it came, whatever its encoding.
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
