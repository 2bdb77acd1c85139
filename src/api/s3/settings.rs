//! Configurations of buckets: checked, kept and answered as they were given.
//!
//! What is acted on (CORS, lifecycle, lock, policy, ACL) has a file of its own; here is the way in and out that they
//! all share, and what S3 answers where nothing was configured.

use http::{Method, StatusCode};
use s3s::{S3Error, S3Result, s3_error};

use super::error::custom;
use super::target::Target;
use super::xml::{self, Node, Xml, malformed};
use super::{Surroundings, cors, lifecycle};
use crate::config::ObjectOwnership;
use crate::id::{BucketName, random_text};
use crate::objects::{Bucket, Settings, Versioning};

/// What is answered where a bucket has no such configuration.
enum Missing {
    /// This code, with this message, and 404.
    Error(&'static str, &'static str),
    /// What S3 does without one.
    Default(fn(&mut Xml)),
    /// What S3 gives a new bucket; once it is deleted, this code and message.
    Given(fn(&mut Xml), &'static str, &'static str),
}

/// A kind of configuration.
struct Kind {
    /// The name of its query parameter, and of the setting.
    name: &'static str,
    /// Its document's root.
    root: &'static str,
    missing: Missing,
    check: fn(&mut Node) -> S3Result<()>,
    can_be_deleted: bool,
}

/// Every configuration that is one document per bucket.
const KINDS: &[Kind] = &[
    Kind {
        name: "cors",
        root: "CORSConfiguration",
        missing: Missing::Error("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
        check: cors::check,
        can_be_deleted: true,
    },
    Kind {
        name: "lifecycle",
        root: "LifecycleConfiguration",
        missing: Missing::Error(
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ),
        check: lifecycle::check,
        can_be_deleted: true,
    },
    Kind {
        name: "encryption",
        root: "ServerSideEncryptionConfiguration",
        missing: Missing::Default(|xml| {
            xml.element("Rule", |xml| {
                xml.element("ApplyServerSideEncryptionByDefault", |xml| {
                    xml.leaf("SSEAlgorithm", "AES256");
                });
                xml.leaf("BucketKeyEnabled", "false");
            });
        }),
        check: check_encryption,
        can_be_deleted: true,
    },
    Kind {
        name: "publicAccessBlock",
        root: "PublicAccessBlockConfiguration",
        missing: Missing::Given(
            |xml| BLOCKS.iter().for_each(|name| xml.leaf(name, "true")),
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ),
        check: check_blocks,
        can_be_deleted: true,
    },
    Kind {
        name: "ownershipControls",
        root: "OwnershipControls",
        missing: Missing::Given(
            |xml| {
                xml.element("Rule", |xml| xml.leaf("ObjectOwnership", Ownership::ENFORCED));
            },
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
        ),
        check: check_ownership,
        can_be_deleted: true,
    },
    Kind {
        name: "website",
        root: "WebsiteConfiguration",
        missing: Missing::Error(
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        ),
        check: check_website,
        can_be_deleted: true,
    },
    Kind {
        name: "replication",
        root: "ReplicationConfiguration",
        missing: Missing::Error(
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
        ),
        check: |document| at_least_one(document, "Rule"),
        can_be_deleted: true,
    },
    Kind {
        name: "notification",
        root: "NotificationConfiguration",
        missing: Missing::Default(|_| {}),
        check: name_notifications,
        can_be_deleted: false,
    },
    Kind {
        name: "logging",
        root: "BucketLoggingStatus",
        missing: Missing::Default(|_| {}),
        check: |_| Ok(()),
        can_be_deleted: false,
    },
    Kind {
        name: "requestPayment",
        root: "RequestPaymentConfiguration",
        missing: Missing::Default(|xml| xml.leaf("Payer", "BucketOwner")),
        check: |document| one_of(document, "Payer", &["BucketOwner", "Requester"]),
        can_be_deleted: false,
    },
    Kind {
        name: "accelerate",
        root: "AccelerateConfiguration",
        missing: Missing::Default(|_| {}),
        check: |document| one_of(document, "Status", &["Enabled", "Suspended"]),
        can_be_deleted: false,
    },
];

/// Configurations of which a bucket has many, each with an id: name, root of one, root of the list.
const LISTS: &[(&str, &str, &str)] = &[
    ("analytics", "AnalyticsConfiguration", "ListBucketAnalyticsConfigurationResult"),
    ("inventory", "InventoryConfiguration", "ListInventoryConfigurationsResult"),
    ("metrics", "MetricsConfiguration", "ListMetricsConfigurationsResult"),
    (
        "intelligent-tiering",
        "IntelligentTieringConfiguration",
        "ListBucketIntelligentTieringConfigurationsOutput",
    ),
];

const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

/// Which access for everyone a bucket shuts out, whatever its policy and its ACLs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "S3 has these four")]
pub(super) struct Blocks {
    pub(super) new_acls: bool,
    pub(super) acls: bool,
    pub(super) new_policies: bool,
    pub(super) policies: bool,
}

impl Blocks {
    pub(super) fn of(settings: &Settings) -> Blocks {
        let document = match settings.told("publicAccessBlock") {
            // AWS: a new bucket has all four.
            None => {
                return Blocks { new_acls: true, acls: true, new_policies: true, policies: true };
            }
            Some(None) => Node::default(),
            Some(Some(text)) => Node::parse(text.as_bytes()).unwrap_or_default(),
        };
        let on = |name: &str| document.text_of(name) == Some("true");
        Blocks {
            new_acls: on(BLOCKS[0]),
            acls: on(BLOCKS[1]),
            new_policies: on(BLOCKS[2]),
            policies: on(BLOCKS[3]),
        }
    }
}

/// Who owns what others put into a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// The bucket's owner, and ACLs are off.
    Enforced,
    /// The bucket's owner, where it is given full control.
    Preferred,
    /// Who put it there.
    Writer,
}

impl From<ObjectOwnership> for Ownership {
    fn from(configured: ObjectOwnership) -> Ownership {
        match configured {
            ObjectOwnership::BucketOwnerEnforced => Ownership::Enforced,
            ObjectOwnership::BucketOwnerPreferred => Ownership::Preferred,
            ObjectOwnership::ObjectWriter => Ownership::Writer,
        }
    }
}

impl Ownership {
    pub(super) const ENFORCED: &'static str = "BucketOwnerEnforced";

    pub(super) fn named(name: &str) -> Option<Ownership> {
        match name {
            Ownership::ENFORCED => Some(Ownership::Enforced),
            "BucketOwnerPreferred" => Some(Ownership::Preferred),
            "ObjectWriter" => Some(Ownership::Writer),
            _ => None,
        }
    }

    pub(super) fn of(settings: &Settings) -> Ownership {
        match settings.told("ownershipControls") {
            None => Ownership::Enforced,
            Some(None) => Ownership::Writer,
            Some(Some(text)) => {
                let document = Node::parse(text.as_bytes()).unwrap_or_default();
                let rule = document.child("Rule");
                let named = rule.and_then(|rule| rule.text_of("ObjectOwnership"));
                named.and_then(Ownership::named).unwrap_or(Ownership::Writer)
            }
        }
    }

    /// The document that says so.
    pub(super) fn document(name: &str) -> String {
        Xml::document("OwnershipControls", |xml| {
            xml.element("Rule", |xml| xml.leaf("ObjectOwnership", name));
        })
    }
}

fn at_least_one(document: &mut Node, name: &str) -> S3Result<()> {
    if document.child(name).is_some() { Ok(()) } else { Err(malformed()) }
}

fn one_of(document: &mut Node, name: &str, allowed: &[&str]) -> S3Result<()> {
    match document.text_of(name) {
        Some(value) if allowed.contains(&value) => Ok(()),
        Some(_) | None => Err(malformed()),
    }
}

fn check_encryption(document: &mut Node) -> S3Result<()> {
    at_least_one(document, "Rule")?;
    for rule in &mut document.children {
        if let Some(default) = rule.child("ApplyServerSideEncryptionByDefault") {
            let algorithm = default.text_of("SSEAlgorithm");
            if !algorithm.is_some_and(|name| ["AES256", "aws:kms", "aws:kms:dsse"].contains(&name))
            {
                return Err(malformed());
            }
            if algorithm == Some("AES256") && default.child("KMSMasterKeyID").is_some() {
                return Err(s3_error!(
                    InvalidArgument,
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
                ));
            }
        }
        if rule.child("BucketKeyEnabled").is_none() {
            rule.children.push(Node::leaf("BucketKeyEnabled", "false"));
        }
    }
    Ok(())
}

fn check_blocks(document: &mut Node) -> S3Result<()> {
    let mut whole = Vec::new();
    for name in BLOCKS {
        let value = match document.text_of(name).map(str::trim) {
            None => "false",
            Some(value) if value.eq_ignore_ascii_case("true") => "true",
            Some(value) if value.eq_ignore_ascii_case("false") => "false",
            Some(_) => return Err(malformed()),
        };
        whole.push(Node::leaf(name, value));
    }
    document.children = whole;
    Ok(())
}

fn check_ownership(document: &mut Node) -> S3Result<()> {
    let mut rules = document.all("Rule");
    let named = rules.next().and_then(|rule| rule.text_of("ObjectOwnership"));
    match named.and_then(Ownership::named) {
        Some(_) if rules.next().is_none() => Ok(()),
        Some(_) | None => Err(malformed()),
    }
}

fn check_website(document: &mut Node) -> S3Result<()> {
    let index = document.child("IndexDocument").and_then(|index| index.text_of("Suffix"));
    let elsewhere = document.child("RedirectAllRequestsTo");
    let host = elsewhere.and_then(|redirect| redirect.text_of("HostName"));
    if host.is_none() && index.is_none_or(|suffix| suffix.is_empty() || suffix.contains('/')) {
        return Err(s3_error!(
            InvalidArgument,
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        ));
    }
    Ok(())
}

/// AWS: a notification without an id gets one.
#[expect(clippy::unnecessary_wraps, reason = "it is one of the checks")]
fn name_notifications(document: &mut Node) -> S3Result<()> {
    for configuration in &mut document.children {
        if configuration.name != "EventBridgeConfiguration" && configuration.child("Id").is_none() {
            configuration.children.insert(0, Node::leaf("Id", random_text(48)));
        }
    }
    Ok(())
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> http::Response<s3s::Body> {
    let mut response = http::Response::new(s3s::Body::empty());
    *response.status_mut() = status;
    response
}

/// The answer to a method that a sub-resource does not know.
pub(super) fn wrong_method() -> S3Error {
    s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")
}

/// Answers a request about a configuration, if it is about one.
pub(super) async fn answer(
    surroundings: &Surroundings,
    (method, target): (&Method, &Target),
    (bucket, settings): &(Bucket, Settings),
    body: &[u8],
) -> Option<S3Result<http::Response<s3s::Body>>> {
    if let Some(kind) = KINDS.iter().find(|kind| target.has(kind.name)) {
        return Some(match *method {
            Method::GET => get(kind, settings),
            Method::PUT => put(surroundings, kind, (bucket, settings), body).await,
            Method::DELETE if kind.can_be_deleted => delete(surroundings, kind, &bucket.name).await,
            _ => Err(wrong_method()),
        });
    }
    let (name, one, list) = LISTS.iter().find(|(name, ..)| target.has(name))?;
    let setting = target.get("id").map(|id| format!("{name}/{id}"));
    Some(match (method, setting) {
        (&Method::GET, None) => Ok(xml::answer(Xml::document(list, |xml| {
            xml.leaf("IsTruncated", "false");
            for (_, text) in settings.below(&format!("{name}/")) {
                if let Ok(document) = Node::parse(text.as_bytes()) {
                    xml.node(&document);
                }
            }
        }))),
        (&Method::GET, Some(setting)) => match settings.get(&setting) {
            Some(text) => Ok(xml::answer(text.to_owned())),
            None => Err(no_such_configuration()),
        },
        (&Method::PUT, Some(setting)) => {
            put_one(surroundings, &bucket.name, (&setting, one), body).await
        }
        (&Method::DELETE, Some(setting)) => match settings.get(&setting) {
            Some(_) => tell(surroundings, &bucket.name, &setting, None)
                .await
                .map(|()| empty(StatusCode::NO_CONTENT)),
            None => Err(no_such_configuration()),
        },
        _ => Err(wrong_method()),
    })
}

fn no_such_configuration() -> S3Error {
    custom(
        "NoSuchConfiguration",
        StatusCode::NOT_FOUND,
        "The specified configuration does not exist.",
    )
}

/// Tells a bucket something.
pub(super) async fn tell(
    surroundings: &Surroundings,
    bucket: &BucketName,
    name: &str,
    text: Option<String>,
) -> S3Result<()> {
    Ok(surroundings.objects.set_setting(bucket, name, text).await?)
}

async fn put_one(
    surroundings: &Surroundings,
    bucket: &BucketName,
    (setting, root): (&str, &str),
    body: &[u8],
) -> S3Result<http::Response<s3s::Body>> {
    let document = Node::parse(body)?;
    if document.name != root
        || !setting.ends_with(&format!("/{}", document.text_of("Id").unwrap_or_default()))
    {
        return Err(malformed());
    }
    tell(surroundings, bucket, setting, Some(document.document())).await?;
    Ok(empty(StatusCode::OK))
}

fn get(kind: &Kind, settings: &Settings) -> S3Result<http::Response<s3s::Body>> {
    let missing = |code, message| Err(custom(code, StatusCode::NOT_FOUND, message));
    let document = match (settings.told(kind.name), &kind.missing) {
        (Some(Some(text)), _) => text.to_owned(),
        (None | Some(None), Missing::Default(fill)) | (None, Missing::Given(fill, ..)) => {
            Xml::document(kind.root, fill)
        }
        (None | Some(None), Missing::Error(code, message))
        | (Some(None), Missing::Given(_, code, message)) => return missing(*code, *message),
    };
    let mut answer = xml::answer(document);
    if kind.name == "lifecycle" {
        lifecycle::show_default(answer.headers_mut());
    }
    Ok(answer)
}

async fn put(
    surroundings: &Surroundings,
    kind: &Kind,
    (bucket, settings): (&Bucket, &Settings),
    body: &[u8],
) -> S3Result<http::Response<s3s::Body>> {
    if body.is_empty() {
        return Err(custom(
            "MissingRequestBodyError",
            StatusCode::BAD_REQUEST,
            "Request Body is empty",
        ));
    }
    let mut document = Node::parse(body)?;
    if document.name != kind.root {
        return Err(malformed());
    }
    (kind.check)(&mut document)?;
    check_with_bucket(surroundings, kind, (bucket, settings), &document).await?;
    let text = Some(document.document());
    let mut answer = empty(StatusCode::OK);
    if kind.name == "lifecycle" {
        let rules = lifecycle::rules(&document)?;
        surroundings.objects.set_rules(&bucket.name, (kind.name, text), rules).await?;
        lifecycle::show_default(answer.headers_mut());
    } else {
        tell(surroundings, &bucket.name, kind.name, text).await?;
    }
    Ok(answer)
}

/// What depends on more than the document.
async fn check_with_bucket(
    surroundings: &Surroundings,
    kind: &Kind,
    (bucket, settings): (&Bucket, &Settings),
    document: &Node,
) -> S3Result<()> {
    match kind.name {
        "replication" if bucket.versioning != Versioning::Enabled => Err(s3_error!(
            InvalidRequest,
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        )),
        "ownershipControls" => {
            let rule = document.child("Rule");
            let named = rule.and_then(|rule| rule.text_of("ObjectOwnership"));
            if named == Some(Ownership::ENFORCED) && super::acl::has_other_grants(bucket, settings)
            {
                return Err(super::acl::acl_with_ownership());
            }
            Ok(())
        }
        "logging" => {
            let Some(enabled) = document.child("LoggingEnabled") else { return Ok(()) };
            let target = enabled.text_of("TargetBucket").ok_or_else(malformed)?;
            enabled.child("TargetPrefix").ok_or_else(malformed)?;
            let target = BucketName::parse(target).ok();
            let there = match &target {
                Some(target) => surroundings.objects.bucket(target).await.is_ok(),
                None => false,
            };
            if there {
                return Ok(());
            }
            Err(custom(
                "InvalidTargetBucketForLogging",
                StatusCode::BAD_REQUEST,
                "The target bucket for logging does not exist",
            ))
        }
        _ => Ok(()),
    }
}

async fn delete(
    surroundings: &Surroundings,
    kind: &Kind,
    bucket: &BucketName,
) -> S3Result<http::Response<s3s::Body>> {
    if kind.name == "lifecycle" {
        surroundings.objects.set_rules(bucket, (kind.name, None), Vec::new()).await?;
    } else {
        tell(surroundings, bucket, kind.name, None).await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}
