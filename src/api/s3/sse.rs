//! Server-side encryption as far as callers can see it: what is asked for is checked, kept and said again.
//!
//! The bytes are stored as they are. Whoever reads with another customer key than was written with is refused all the
//! same, because that is what a program has to cope with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use md5::Digest as _;
use s3s::{S3Result, s3_error};

use super::buckets::set;
use super::error::custom;
use super::xml::Node;
use crate::objects::Encryption;

/// Encryption by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Server {
    /// With S3's own keys, as everything is that does not say.
    Own,
    /// With a key of the key service.
    With(Encryption),
}

impl Server {
    fn encryption(self) -> Option<Encryption> {
        match self {
            Server::Own => None,
            Server::With(encryption) => Some(encryption),
        }
    }
}

/// What a request says of encryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    server: Option<Server>,
    /// The digest of the key it brings along, in base64.
    customer: Option<String>,
    /// The same for the source of a copy.
    source: Option<String>,
}

fn take(headers: &mut HeaderMap, name: &str) -> Option<String> {
    headers.remove(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}

fn customer(headers: &mut HeaderMap, prefix: &str) -> S3Result<Option<String>> {
    let mut part =
        |name: &str| take(headers, &format!("{prefix}server-side-encryption-customer-{name}"));
    let (algorithm, key, md5) = (part("algorithm"), part("key"), part("key-md5"));
    if algorithm.is_none() && key.is_none() && md5.is_none() {
        return Ok(None);
    }
    let Some(algorithm) = algorithm else {
        return Err(s3_error!(
            InvalidArgument,
            "Requests specifying Server Side Encryption with Customer provided keys must provide a \
             valid encryption algorithm."
        ));
    };
    if algorithm != "AES256" {
        return Err(custom(
            "InvalidEncryptionAlgorithmError",
            StatusCode::BAD_REQUEST,
            "The Encryption request you specified is not valid. Supported value: AES256.",
        ));
    }
    let key = key.and_then(|key| STANDARD.decode(key).ok()).filter(|key| key.len() == 32);
    let key = key.ok_or_else(|| {
        s3_error!(
            InvalidArgument,
            "Requests specifying Server Side Encryption with Customer provided keys must provide an \
             appropriate secret key."
        )
    })?;
    let computed = STANDARD.encode(md5::Md5::digest(&key));
    if md5.is_none_or(|md5| md5 != computed) {
        return Err(s3_error!(
            InvalidArgument,
            "The calculated MD5 hash of the key did not match the hash that was provided."
        ));
    }
    Ok(Some(computed))
}

/// A key of the account, where a request leaves it to the server which one.
const DEFAULT_KEY: &str = "alias/aws/s3";

fn of_algorithm(algorithm: &str, key: Option<String>, bucket_key: bool) -> Option<Server> {
    match algorithm {
        "AES256" => Some(Server::Own),
        "aws:kms" | "aws:kms:dsse" => Some(Server::With(Encryption::Kms {
            algorithm: algorithm.to_owned(),
            key: key.unwrap_or_else(|| DEFAULT_KEY.to_owned()),
            bucket_key,
        })),
        _ => None,
    }
}

impl Asked {
    /// Takes what is about encryption out of the headers.
    pub(super) fn read(headers: &mut HeaderMap) -> S3Result<Asked> {
        let customer_key = customer(headers, "x-amz-")?;
        let source = customer(headers, "x-amz-copy-source-")?;
        let algorithm = take(headers, "x-amz-server-side-encryption");
        let key = take(headers, "x-amz-server-side-encryption-aws-kms-key-id");
        take(headers, "x-amz-server-side-encryption-context");
        let bucket_key = take(headers, "x-amz-server-side-encryption-bucket-key-enabled");
        let bucket_key = bucket_key.is_some_and(|on| on.eq_ignore_ascii_case("true"));
        if key.is_some() && algorithm.as_deref().is_none_or(|name| !name.starts_with("aws:kms")) {
            return Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with AWS KMS managed key requires HTTP header \
                 x-amz-server-side-encryption : aws:kms"
            ));
        }
        if algorithm.is_some() && customer_key.is_some() {
            return Err(s3_error!(
                InvalidArgument,
                "Server Side Encryption with Customer provided key is incompatible with the \
                 encryption method specified"
            ));
        }
        let server = match algorithm {
            None => None,
            Some(algorithm) => {
                Some(of_algorithm(&algorithm, key, bucket_key).ok_or_else(|| {
                    s3_error!(InvalidArgument, "The encryption method specified is not supported")
                })?)
            }
        };
        Ok(Asked { server, customer: customer_key, source })
    }

    /// It asks for some encryption, and so changes an object that is copied onto itself.
    pub(super) fn is_any(&self) -> bool {
        self.server.is_some() || self.customer.is_some()
    }

    /// How what is written shall be encrypted, where the bucket's default is the text of its configuration.
    pub(super) fn of_write(&self, default: Option<&str>) -> Option<Encryption> {
        if let Some(key_md5) = &self.customer {
            return Some(Encryption::Customer { key_md5: key_md5.clone() });
        }
        match &self.server {
            Some(server) => server.clone().encryption(),
            None => default.and_then(of_default),
        }
    }

    /// Whether what is encrypted so may be read with this request.
    pub(super) fn check_read(&self, encryption: Option<&Encryption>) -> S3Result<()> {
        if self.server.is_some() {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-server-side-encryption header is not supported for this operation."
            ));
        }
        same_key(encryption, self.customer.as_deref())
    }

    /// The same for the source of a copy.
    pub(super) fn check_source(&self, encryption: Option<&Encryption>) -> S3Result<()> {
        same_key(encryption, self.source.as_deref())
    }

    /// Whether a part may be added to an upload that was begun so.
    pub(super) fn check_part(&self, encryption: Option<&Encryption>) -> S3Result<()> {
        match (encryption, &self.customer) {
            (Some(Encryption::Customer { key_md5 }), Some(given)) if key_md5 == given => Ok(()),
            (Some(Encryption::Customer { .. }), Some(_)) => Err(s3_error!(
                InvalidRequest,
                "The provided encryption parameters did not match the ones used originally."
            )),
            (Some(Encryption::Customer { .. }), None) => Err(s3_error!(
                InvalidRequest,
                "The multipart upload initiate requested encryption. Subsequent part requests must \
                 include the appropriate encryption parameters."
            )),
            (_, Some(_)) => Err(s3_error!(
                InvalidRequest,
                "The multipart upload initiate did not request encryption. Please resend the request \
                 without sending encryption parameters."
            )),
            (_, None) => Ok(()),
        }
    }
}

fn same_key(encryption: Option<&Encryption>, given: Option<&str>) -> S3Result<()> {
    match (encryption, given) {
        (Some(Encryption::Customer { key_md5 }), Some(given)) if key_md5 == given => Ok(()),
        (Some(Encryption::Customer { .. }), Some(_)) => {
            Err(s3_error!(AccessDenied, "Access Denied"))
        }
        (Some(Encryption::Customer { .. }), None) => Err(s3_error!(
            InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters \
             must be provided to retrieve the object."
        )),
        (_, Some(_)) => Err(s3_error!(
            InvalidRequest,
            "The encryption parameters are not applicable to this object."
        )),
        (_, None) => Ok(()),
    }
}

/// What a bucket's `ServerSideEncryptionConfiguration` has new objects be.
fn of_default(document: &str) -> Option<Encryption> {
    let document = Node::parse(document.as_bytes()).ok()?;
    let rule = document.child("Rule")?;
    let default = rule.child("ApplyServerSideEncryptionByDefault")?;
    let key = default.text_of("KMSMasterKeyID").map(str::to_owned);
    let bucket_key = rule.text_of("BucketKeyEnabled") == Some("true");
    of_algorithm(default.text_of("SSEAlgorithm")?, key, bucket_key)?.encryption()
}

/// Says how something is encrypted. AWS: every object is, so every answer says so.
pub(super) fn show(headers: &mut HeaderMap, encryption: Option<&Encryption>) {
    match encryption {
        None => set(headers, "x-amz-server-side-encryption", "AES256"),
        Some(Encryption::Kms { algorithm, key, bucket_key }) => {
            set(headers, "x-amz-server-side-encryption", algorithm);
            set(headers, "x-amz-server-side-encryption-aws-kms-key-id", key);
            if *bucket_key {
                set(headers, "x-amz-server-side-encryption-bucket-key-enabled", "true");
            }
        }
        Some(Encryption::Customer { key_md5 }) => {
            set(headers, "x-amz-server-side-encryption-customer-algorithm", "AES256");
            set(headers, "x-amz-server-side-encryption-customer-key-md5", key_md5);
        }
    }
}
