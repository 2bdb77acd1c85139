//! The operations that `s3s` parses for us, each handed to its function. The rest answer 501 by themselves.

use http::Extensions;
use s3s::dto;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::request::Given;
use super::{Surroundings, error};
use crate::id::{BucketName, ObjectKey, VersionId};

#[derive(Clone, Debug)]
pub(super) struct Operations {
    pub(super) surroundings: Surroundings,
}

/// What a request says that its operation's input does not.
fn given(extensions: &mut Extensions) -> S3Result<Given> {
    extensions.remove::<Given>().ok_or_else(super::access::denied)
}

pub(super) fn bucket_name(name: &str) -> S3Result<BucketName> {
    BucketName::parse(name).map_err(|_| error::no_such_bucket())
}

pub(super) fn object_key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::parse(key).map_err(|_| s3_error!(KeyTooLongError, "Your key is too long"))
}

pub(super) fn version_id(id: Option<&str>) -> S3Result<Option<VersionId>> {
    id.map(VersionId::parse)
        .transpose()
        .map_err(|_| s3_error!(InvalidArgument, "Invalid version id specified"))
}

/// `async fn name(&self, req) -> …` for operations that are a function of the surroundings, what was given, and the
/// input.
macro_rules! operations {
    ($($name:ident: $input:ident -> $output:ident = $function:path;)*) => {
        #[async_trait::async_trait]
        impl s3s::S3 for Operations {
            $(
                async fn $name(
                    &self,
                    mut request: S3Request<dto::$input>,
                ) -> S3Result<S3Response<dto::$output>> {
                    let given = given(&mut request.extensions)?;
                    $function(&self.surroundings, given, request.input).await
                }
            )*
        }
    };
}

operations! {
    list_buckets: ListBucketsInput -> ListBucketsOutput = super::buckets::list;
    create_bucket: CreateBucketInput -> CreateBucketOutput = super::buckets::create;
    head_bucket: HeadBucketInput -> HeadBucketOutput = super::buckets::head;
    delete_bucket: DeleteBucketInput -> DeleteBucketOutput = super::buckets::delete;
    get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput
        = super::buckets::location;
    get_bucket_versioning: GetBucketVersioningInput -> GetBucketVersioningOutput
        = super::buckets::versioning;
    put_bucket_versioning: PutBucketVersioningInput -> PutBucketVersioningOutput
        = super::buckets::set_versioning;
    put_object: PutObjectInput -> PutObjectOutput = super::objects::put;
    get_object: GetObjectInput -> GetObjectOutput = super::objects::get;
    head_object: HeadObjectInput -> HeadObjectOutput = super::objects::head;
    copy_object: CopyObjectInput -> CopyObjectOutput = super::objects::copy;
    delete_object: DeleteObjectInput -> DeleteObjectOutput = super::objects::delete;
    get_object_attributes: GetObjectAttributesInput -> GetObjectAttributesOutput
        = super::objects::attributes;
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput
        = super::multipart::create;
    upload_part: UploadPartInput -> UploadPartOutput = super::multipart::upload_part;
    upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput = super::multipart::copy_part;
    complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput
        = super::multipart::complete;
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput
        = super::multipart::abort;
    list_parts: ListPartsInput -> ListPartsOutput = super::multipart::parts;
    list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput
        = super::multipart::uploads;
}
