//! What went wrong, in S3's words.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode, s3_error};

use crate::objects::{
    Algorithm, AmendError, BucketError, CompleteError, Damaged, DeleteError, FindError,
    ObjectError, PutError, Refused, UploadError, Version,
};

pub(super) fn no_such_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

pub(super) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have \
         been aborted or completed."
    )
}

pub(super) fn precondition() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

pub(super) fn bad_checksum(algorithm: Algorithm) -> S3Error {
    let name = algorithm.name();
    s3_error!(BadDigest, "The {} you specified did not match the calculated checksum.", name)
}

pub(super) fn bad_md5() -> S3Error {
    s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received.")
}

/// An error under a code that `s3s` does not know.
pub(super) fn custom(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// The body could not be read to its end, or is not what its framing or its signature says.
///
/// `s3s` keeps its stream errors to itself; their text is what there is to tell them apart by.
pub(super) fn of_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        return custom(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
    }
    if text.contains("SignatureMismatch") {
        return s3_error!(
            SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided."
        );
    }
    if text.contains("EntityTooLarge") {
        return s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size");
    }
    if text.contains("EntityTooSmall") {
        return s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        );
    }
    if text.contains("MalformedPOSTRequest") {
        return malformed_form();
    }
    if text.contains("exceeds limit") || text.contains("length limit exceeded") {
        return s3_error!(MaxMessageLengthExceeded, "Your request was too big.");
    }
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header."
    )
}

/// A form upload that is none.
pub(super) fn malformed_form() -> S3Error {
    s3_error!(
        MalformedPOSTRequest,
        "The body of your POST request is not well-formed multipart/form-data."
    )
}

/// A fault of ours: the caller learns the request id, the log gets the whole chain.
fn internal(error: &dyn std::error::Error) -> S3Error {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    tracing::error!(error = chain, "the object store failed");
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

impl From<Damaged> for S3Error {
    fn from(damaged: Damaged) -> S3Error {
        match damaged {
            Damaged::Size { .. } => s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header."
            ),
            Damaged::Md5 { .. } => bad_md5(),
            Damaged::Checksum { algorithm, .. } => bad_checksum(algorithm),
        }
    }
}

impl From<ObjectError> for S3Error {
    fn from(error: ObjectError) -> S3Error {
        match error {
            ObjectError::NoSuchBucket(_) => no_such_bucket(),
            ObjectError::NoSuchKey(_) => no_such_key(),
            ObjectError::Disk { .. } | ObjectError::Index(_) => internal(&error),
        }
    }
}

impl From<crate::objects::DiskError> for S3Error {
    fn from(error: crate::objects::DiskError) -> S3Error {
        internal(&error)
    }
}

impl From<BucketError> for S3Error {
    fn from(error: BucketError) -> S3Error {
        match error {
            BucketError::NoSuchBucket(_) => no_such_bucket(),
            BucketError::Exists(_) => s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ),
            BucketError::NotEmpty(_) => {
                s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")
            }
            BucketError::Locked(_) => s3_error!(
                InvalidBucketState,
                "An Object Lock configuration is present on this bucket, so the versioning state \
                 cannot be changed."
            ),
            BucketError::NotVersioned(_) => s3_error!(
                InvalidBucketState,
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            ),
            BucketError::Index(_) => internal(&error),
        }
    }
}

impl From<FindError> for S3Error {
    fn from(error: FindError) -> S3Error {
        match error {
            FindError::NoSuchBucket(_) => no_such_bucket(),
            FindError::NoSuchKey(_) => no_such_key(),
            FindError::NoSuchVersion { .. } => {
                s3_error!(NoSuchVersion, "The specified version does not exist.")
            }
            FindError::Index(_) => internal(&error),
        }
    }
}

impl From<PutError> for S3Error {
    fn from(error: PutError) -> S3Error {
        match error {
            PutError::NoSuchBucket(_) => no_such_bucket(),
            PutError::NoSuchKey(_) => no_such_key(),
            PutError::Damaged { source, .. } => source.into(),
            PutError::Precondition(_) => precondition(),
            PutError::Disk(_) | PutError::Index(_) => internal(&error),
        }
    }
}

impl From<DeleteError> for S3Error {
    fn from(error: DeleteError) -> S3Error {
        match error {
            DeleteError::NoSuchBucket(_) => no_such_bucket(),
            DeleteError::Index(_) => internal(&error),
        }
    }
}

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> S3Error {
        match refused {
            Refused::Condition(_) => precondition(),
            Refused::Locked(_) => locked(),
        }
    }
}

fn locked() -> S3Error {
    s3_error!(AccessDenied, "Access Denied because object protected by object lock.")
}

impl From<AmendError> for S3Error {
    fn from(error: AmendError) -> S3Error {
        match error {
            AmendError::NotFound(error) => error.into(),
            AmendError::Marker(marker) => is_marker(&marker),
            AmendError::NoLock(_) => super::lock::no_lock(),
            AmendError::Locked(_) => locked(),
        }
    }
}

impl From<UploadError> for S3Error {
    fn from(error: UploadError) -> S3Error {
        match error {
            UploadError::NoSuchBucket(_) => no_such_bucket(),
            UploadError::NoSuchUpload(_) => no_such_upload(),
            UploadError::OtherAlgorithm { declared, announced } => s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                announced.name().to_ascii_lowercase(),
                declared.name().to_ascii_lowercase()
            ),
            UploadError::Damaged { source, .. } => source.into(),
            UploadError::Disk(_) | UploadError::Index(_) => internal(&error),
        }
    }
}

impl From<CompleteError> for S3Error {
    fn from(error: CompleteError) -> S3Error {
        match error {
            CompleteError::NoSuchBucket(_) => no_such_bucket(),
            CompleteError::NoSuchUpload(_) => no_such_upload(),
            CompleteError::NoSuchKey(_) => no_such_key(),
            CompleteError::Precondition(_) => precondition(),
            CompleteError::NoSuchPart(_) => s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found.  The part may not have been \
                 uploaded, or the specified entity tag may not match the part's entity tag."
            ),
            CompleteError::PartOrder => {
                s3_error!(InvalidPartOrder, "The list of parts was not in ascending order.")
            }
            CompleteError::PartTooSmall { .. } => s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ),
            CompleteError::Damaged(Damaged::Size { .. }) => s3_error!(
                InvalidRequest,
                "The provided 'x-amz-mp-object-size' header value does not match what was computed."
            ),
            CompleteError::Damaged(damaged) => damaged.into(),
            CompleteError::Index(_) => internal(&error),
        }
    }
}

/// A header of an error. `s3s` lets them replace its own, so they bring the content type along.
fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(*name, value);
        }
    }
    headers
}

/// The current version is a delete marker.
pub(super) fn behind_marker(marker: &Version) -> S3Error {
    let mut error = no_such_key();
    let id = marker.id.as_str();
    error.set_headers(headers(&[("x-amz-delete-marker", "true"), ("x-amz-version-id", id)]));
    error
}

/// A delete marker was asked for by its version id.
pub(super) fn is_marker(marker: &Version) -> S3Error {
    let mut error =
        s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.");
    error.set_headers(headers(&[
        ("allow", "DELETE"),
        ("x-amz-delete-marker", "true"),
        ("x-amz-version-id", marker.id.as_str()),
        ("last-modified", &super::answer::http_date(marker.modified)),
    ]));
    error
}

/// The caller has it already.
pub(super) fn not_modified(mut about: HeaderMap) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    about.remove(header::CONTENT_TYPE);
    error.set_headers(about);
    error
}

/// The range lies behind the end.
pub(super) fn bad_range(size_bytes: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    error.set_headers(headers(&[("content-range", &format!("bytes */{size_bytes}"))]));
    error
}
