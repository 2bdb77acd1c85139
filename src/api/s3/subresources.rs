//! What hangs on buckets and objects besides bytes: tags, ACLs, policies, locks and configurations.
//!
//! The wire is ours, because `s3s` would read documents into its own shapes and not give them back as they came.

use http::{HeaderValue, Method, StatusCode, header};
use s3s::{S3Error, S3Result, s3_error};

use super::error::{self, custom};
use super::operations::{object_key, version_id};
use super::request::Given;
use super::settings::{self, Blocks, Ownership, empty, tell, wrong_method};
use super::target::Target;
use super::xml::{self, Node, Xml, malformed};
use super::{Surroundings, acl, lock, policy, tagging};
use crate::id::{ObjectKey, VersionId};
use crate::objects::{Amendment, Bucket, Grant, Settings, Version};

/// The names in a query that are answered here: of a bucket, and of an object.
const OF_BUCKETS: [&str; 20] = [
    "tagging",
    "acl",
    "policy",
    "policyStatus",
    "object-lock",
    "cors",
    "lifecycle",
    "encryption",
    "publicAccessBlock",
    "ownershipControls",
    "website",
    "replication",
    "notification",
    "logging",
    "requestPayment",
    "accelerate",
    "analytics",
    "inventory",
    "metrics",
    "intelligent-tiering",
];
const OF_OBJECTS: [&str; 4] = ["tagging", "acl", "retention", "legal-hold"];

/// Whether a request is about one of them.
pub(super) fn is_one(target: &Target) -> bool {
    let names = if target.key.is_some() { &OF_OBJECTS[..] } else { &OF_BUCKETS[..] };
    !target.bucket.is_empty() && names.iter().any(|name| target.has(name))
}

type Answer = S3Result<http::Response<s3s::Body>>;

/// A request about one of them.
pub(super) struct Asked<'a> {
    pub(super) surroundings: &'a Surroundings,
    pub(super) given: &'a Given,
    pub(super) method: &'a Method,
    pub(super) target: &'a Target,
    pub(super) body: &'a [u8],
}

/// Answers a request that [`is_one`].
pub(super) async fn answer(asked: Asked<'_>) -> Answer {
    let Some(place) = asked.given.place.as_deref() else { return Err(error::no_such_bucket()) };
    match &asked.target.key {
        Some(key) => {
            let version = version_id(asked.target.get("versionId"))?;
            OfObject { key: object_key(key)?, version, place, asked }.answer().await
        }
        None => of_bucket(asked, place).await,
    }
}

async fn of_bucket(asked: Asked<'_>, place: &(Bucket, Settings)) -> Answer {
    let (bucket, told) = place;
    let Asked { surroundings, method, target, body, .. } = asked;
    if target.has("tagging") {
        return bucket_tagging(&asked, place).await;
    }
    if target.has("acl") {
        return bucket_acl(&asked, place).await;
    }
    if target.has("policy") {
        return bucket_policy(&asked, place).await;
    }
    if target.has("policyStatus") {
        if *method != Method::GET {
            return Err(wrong_method());
        }
        let public = policy::is_public(&policy_of(told).ok_or_else(no_policy)?);
        return Ok(xml::answer(Xml::document("PolicyStatus", |xml| {
            xml.leaf("IsPublic", if public { "true" } else { "false" });
        })));
    }
    if target.has("object-lock") {
        return match *method {
            Method::GET => match &bucket.lock {
                Some(lock) => Ok(xml::answer(lock::write(lock))),
                None => Err(custom(
                    "ObjectLockConfigurationNotFoundError",
                    StatusCode::NOT_FOUND,
                    "Object Lock configuration does not exist for this bucket",
                )),
            },
            Method::PUT => {
                let lock = lock::read(&Node::parse(body)?)?;
                surroundings.objects.set_lock(&bucket.name, lock).await?;
                Ok(empty(StatusCode::OK))
            }
            _ => Err(wrong_method()),
        };
    }
    let answered = settings::answer(surroundings, (method, target), place, body).await;
    answered.unwrap_or_else(|| Err(wrong_method()))
}

async fn bucket_tagging(asked: &Asked<'_>, (bucket, told): &(Bucket, Settings)) -> Answer {
    let put = |text| tell(asked.surroundings, &bucket.name, "tagging", text);
    match *asked.method {
        Method::GET => match told.get("tagging") {
            Some(text) => Ok(xml::answer(text.to_owned())),
            None => Err(custom("NoSuchTagSet", StatusCode::NOT_FOUND, "The TagSet does not exist")),
        },
        Method::PUT => {
            let tags = tagging::read(&Node::parse(asked.body)?, tagging::BUCKET_TAGS_MAX)?;
            put(Some(tagging::write(&tags))).await.map(|()| empty(StatusCode::NO_CONTENT))
        }
        Method::DELETE => put(None).await.map(|()| empty(StatusCode::NO_CONTENT)),
        _ => Err(wrong_method()),
    }
}

fn no_policy() -> S3Error {
    custom("NoSuchBucketPolicy", StatusCode::NOT_FOUND, "The bucket policy does not exist")
}

fn policy_of(told: &Settings) -> Option<serde_json::Value> {
    serde_json::from_str(told.get("policy")?).ok()
}

async fn bucket_policy(asked: &Asked<'_>, (bucket, told): &(Bucket, Settings)) -> Answer {
    let put = |text| tell(asked.surroundings, &bucket.name, "policy", text);
    match *asked.method {
        Method::GET => {
            let text = told.get("policy").ok_or_else(no_policy)?;
            let mut response = http::Response::new(s3s::Body::from(text.to_owned()));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            Ok(response)
        }
        Method::PUT => {
            let policy = policy::read(asked.body, bucket.name.as_str())?;
            if Blocks::of(told).new_policies && policy::is_public(&policy) {
                return Err(super::access::denied());
            }
            let text = String::from_utf8_lossy(asked.body).into_owned();
            put(Some(text)).await.map(|()| empty(StatusCode::NO_CONTENT))
        }
        Method::DELETE => put(None).await.map(|()| empty(StatusCode::NO_CONTENT)),
        _ => Err(wrong_method()),
    }
}

/// The list that a request to change one gives, in headers or as XML; `None` where it is to stay as it is.
fn new_list(
    asked: &Asked<'_>,
    told: &Settings,
    whose: acl::Whose<'_>,
) -> S3Result<Option<Vec<Grant>>> {
    let Asked { surroundings, given, body, .. } = *asked;
    let in_body = given.acl.is_none();
    if in_body && body.is_empty() {
        return Err(s3_error!(MissingSecurityHeader, "Your request was missing a required header"));
    }
    if !in_body {
        return given.acl.of_write(surroundings, told, whose);
    }
    let grants = acl::read(surroundings, body, whose.owner);
    if Ownership::of(told) == Ownership::Enforced {
        // AWS: what says no more than that the owner has full control is let pass.
        let harmless = grants.is_ok_and(|grants| {
            let to = crate::objects::Grantee::User(whose.owner.to_owned());
            let permission = crate::objects::Permission::FullControl;
            grants == [Grant { to, permission }]
        });
        return if harmless { Ok(None) } else { Err(acl::not_supported()) };
    }
    let grants = grants?;
    acl::check_public(told, &grants)?;
    Ok(Some(grants))
}

async fn bucket_acl(asked: &Asked<'_>, (bucket, told): &(Bucket, Settings)) -> Answer {
    let surroundings = asked.surroundings;
    let owner = surroundings.owner(&bucket.owner).canonical_id.as_str();
    match *asked.method {
        Method::GET => {
            let grants =
                acl::of_bucket(told).filter(|_| Ownership::of(told) != Ownership::Enforced);
            Ok(xml::answer(acl::write(surroundings, owner, grants.as_deref())))
        }
        Method::PUT => {
            let whose = acl::Whose { owner, bucket_owner: owner };
            if let Some(grants) = new_list(asked, told, whose)? {
                tell(surroundings, &bucket.name, "acl", Some(acl::setting(&grants))).await?;
            }
            Ok(empty(StatusCode::OK))
        }
        _ => Err(wrong_method()),
    }
}

/// A request about something of one version.
struct OfObject<'a> {
    key: ObjectKey,
    version: Option<VersionId>,
    place: &'a (Bucket, Settings),
    asked: Asked<'a>,
}

impl OfObject<'_> {
    async fn answer(&self) -> Answer {
        let target = self.asked.target;
        let method = self.asked.method;
        let (version, mut answer) = if target.has("tagging") {
            self.tagging().await?
        } else if target.has("acl") {
            self.acl().await?
        } else if !matches!(*method, Method::GET | Method::PUT) {
            return Err(wrong_method());
        } else if self.place.0.lock.is_none() {
            return Err(lock::no_lock());
        } else if target.has("retention") {
            self.retention().await?
        } else {
            self.legal_hold().await?
        };
        if let Some(id) = super::objects::shown_id(self.asked.surroundings, &version).await? {
            super::buckets::set(answer.headers_mut(), "x-amz-version-id", &id);
        }
        Ok(answer)
    }

    async fn find(&self) -> S3Result<Version> {
        let objects = &self.asked.surroundings.objects;
        let found = objects.find(&self.place.0.name, &self.key, self.version.as_ref()).await?;
        match (found.is_delete_marker, &self.version) {
            (false, _) => Ok(found),
            (true, None) => Err(error::behind_marker(&found)),
            (true, Some(_)) => Err(error::is_marker(&found)),
        }
    }

    async fn amend(&self, amendment: Amendment) -> S3Result<Version> {
        let objects = &self.asked.surroundings.objects;
        let (bucket, id) = (&self.place.0.name, self.version.as_ref());
        Ok(objects.amend(bucket, &self.key, id, amendment).await?)
    }

    async fn tagging(&self) -> S3Result<(Version, http::Response<s3s::Body>)> {
        match *self.asked.method {
            Method::GET => {
                let version = self.find().await?;
                let answer = xml::answer(tagging::write(&version.metadata.tags));
                Ok((version, answer))
            }
            Method::PUT => {
                let document = Node::parse(self.asked.body)?;
                let tags = tagging::read(&document, tagging::OBJECT_TAGS_MAX)?;
                Ok((self.amend(Amendment::Tags(tags)).await?, empty(StatusCode::OK)))
            }
            Method::DELETE => {
                let version = self.amend(Amendment::Tags(Vec::new())).await?;
                Ok((version, empty(StatusCode::NO_CONTENT)))
            }
            _ => Err(wrong_method()),
        }
    }

    async fn acl(&self) -> S3Result<(Version, http::Response<s3s::Body>)> {
        let surroundings = self.asked.surroundings;
        let (bucket, told) = self.place;
        let version = self.find().await?;
        let bucket_owner = surroundings.owner(&bucket.owner).canonical_id.as_str();
        let enforced = Ownership::of(told) == Ownership::Enforced;
        let owner =
            if enforced { bucket_owner } else { &surroundings.owner(&version.owner).canonical_id };
        match *self.asked.method {
            Method::GET => {
                let grants = version.metadata.grants.as_deref().filter(|_| !enforced);
                let answer = xml::answer(acl::write(surroundings, owner, grants));
                Ok((version, answer))
            }
            Method::PUT => {
                let whose = acl::Whose { owner, bucket_owner };
                let version = match new_list(&self.asked, told, whose)? {
                    Some(grants) => self.amend(Amendment::Grants(grants)).await?,
                    None => version,
                };
                Ok((version, empty(StatusCode::OK)))
            }
            _ => Err(wrong_method()),
        }
    }

    async fn retention(&self) -> S3Result<(Version, http::Response<s3s::Body>)> {
        if *self.asked.method == Method::GET {
            let version = self.find().await?;
            let retention = version.metadata.retention.ok_or_else(no_lock_on_object)?;
            return Ok((version, xml::answer(lock::write_retention(retention))));
        }
        let document = Node::parse(self.asked.body)?;
        if document.name != "Retention" {
            return Err(malformed());
        }
        let now = self.asked.surroundings.objects.now();
        let retention = lock::read_retention(&document, now)?;
        let bypass = self.asked.given.bypass;
        let version = self.amend(Amendment::Retention { retention, bypass }).await?;
        Ok((version, empty(StatusCode::OK)))
    }

    async fn legal_hold(&self) -> S3Result<(Version, http::Response<s3s::Body>)> {
        if *self.asked.method == Method::GET {
            let version = self.find().await?;
            let answer = xml::answer(lock::write_hold(
                version.metadata.legal_hold.ok_or_else(no_lock_on_object)?,
            ));
            return Ok((version, answer));
        }
        let document = Node::parse(self.asked.body)?;
        if document.name != "LegalHold" {
            return Err(malformed());
        }
        let version = self.amend(Amendment::LegalHold(lock::read_hold(&document)?)).await?;
        Ok((version, empty(StatusCode::OK)))
    }
}

fn no_lock_on_object() -> S3Error {
    custom(
        "NoSuchObjectLockConfiguration",
        StatusCode::NOT_FOUND,
        "The specified object does not have a ObjectLock configuration",
    )
}
