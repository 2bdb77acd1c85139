//! Who may do what: a bucket's owner, its policy, its ACL and the ACLs of its objects.
//!
//! Identities with one canonical id are one account, and an account may do everything with its own, as an
//! administrator's IAM policy has it. A policy's denial keeps even the owner out, except from the policy itself.

use http::{HeaderMap, Method};
use s3s::{S3Error, S3Result, s3_error};
use serde_json::Value;

use super::Surroundings;
use super::acl;
use super::policy::{self, Known, Verdict};
use super::settings::{Blocks, Ownership};
use super::target::Target;
use crate::config::{AirflowRole, Identity};
use crate::id::{BucketName, ObjectKey, VersionId};
use crate::objects::{Bucket, BucketError, Permission, Settings, Version};

/// AWS's canonical id for somebody who did not sign.
const NOBODY: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// Who does not sign is this.
pub(super) fn nobody() -> Identity {
    Identity {
        access_key_id: String::new(),
        secret_access_key: String::new(),
        arn: String::new(),
        canonical_id: NOBODY.to_owned(),
        display_name: String::new(),
        airflow_role: AirflowRole::None,
    }
}

pub(super) fn is_nobody(identity: &Identity) -> bool {
    identity.canonical_id == NOBODY
}

pub(super) fn denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// Which list a permission is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Bucket(Permission),
    Object(Permission),
    /// No list gives it: only the bucket's owner has it, or who its policy names.
    None,
}

/// What a request wants to do.
#[derive(Clone, Debug)]
pub(super) struct Want<'r> {
    action: &'static str,
    list: List,
    target: &'r Target,
    headers: &'r HeaderMap,
}

impl<'r> Want<'r> {
    /// Reading an object, as a copy does.
    pub(super) fn read(target: &'r Target, headers: &'r HeaderMap) -> Want<'r> {
        let versioned = target.has("versionId");
        let action = if versioned { "s3:GetObjectVersion" } else { "s3:GetObject" };
        Want { action, list: List::Object(Permission::Read), target, headers }
    }

    /// Writing an object, as a form does.
    pub(super) fn write(target: &'r Target, headers: &'r HeaderMap) -> Want<'r> {
        Want { action: "s3:PutObject", list: List::Bucket(Permission::Write), target, headers }
    }

    /// Deleting an object, or one version of it, among others.
    pub(super) fn delete(target: &'r Target, headers: &'r HeaderMap) -> Want<'r> {
        let (action, list) = of_object(&Method::DELETE, target);
        Want { action, list, target, headers }
    }

    /// Whether it is about several keys, which only the body names.
    fn is_of_many(&self) -> bool {
        self.action == "s3:DeleteObject" && self.target.key.is_none()
    }

    pub(super) fn of(method: &Method, target: &'r Target, headers: &'r HeaderMap) -> Want<'r> {
        let (action, list) = match &target.key {
            None => of_bucket(method, target),
            Some(_) => of_object(method, target),
        };
        Want { action, list, target, headers }
    }
}

/// Bucket sub-resources: name, action to read it, action to change it.
const BUCKET_ACTIONS: [(&str, &str, &str); 19] = [
    ("acl", "s3:GetBucketAcl", "s3:PutBucketAcl"),
    ("policy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"),
    ("policyStatus", "s3:GetBucketPolicyStatus", "s3:PutBucketPolicy"),
    ("tagging", "s3:GetBucketTagging", "s3:PutBucketTagging"),
    ("cors", "s3:GetBucketCORS", "s3:PutBucketCORS"),
    ("lifecycle", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
    ("encryption", "s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration"),
    ("versioning", "s3:GetBucketVersioning", "s3:PutBucketVersioning"),
    ("publicAccessBlock", "s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    ("ownershipControls", "s3:GetBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
    ("object-lock", "s3:GetBucketObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"),
    ("notification", "s3:GetBucketNotification", "s3:PutBucketNotification"),
    ("logging", "s3:GetBucketLogging", "s3:PutBucketLogging"),
    ("website", "s3:GetBucketWebsite", "s3:PutBucketWebsite"),
    ("replication", "s3:GetReplicationConfiguration", "s3:PutReplicationConfiguration"),
    ("requestPayment", "s3:GetBucketRequestPayment", "s3:PutBucketRequestPayment"),
    ("accelerate", "s3:GetAccelerateConfiguration", "s3:PutAccelerateConfiguration"),
    ("location", "s3:GetBucketLocation", "s3:GetBucketLocation"),
    ("inventory", "s3:GetInventoryConfiguration", "s3:PutInventoryConfiguration"),
];

fn of_bucket(method: &Method, target: &Target) -> (&'static str, List) {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some((name, get, put)) = BUCKET_ACTIONS.iter().find(|(name, ..)| target.has(name)) {
        let list = match (*name, reads) {
            ("acl", true) => List::Bucket(Permission::ReadAcl),
            ("acl", false) => List::Bucket(Permission::WriteAcl),
            _ => List::None,
        };
        return (if reads { get } else { put }, list);
    }
    match *method {
        Method::GET if target.has("versions") => {
            ("s3:ListBucketVersions", List::Bucket(Permission::Read))
        }
        Method::GET if target.has("uploads") => {
            ("s3:ListBucketMultipartUploads", List::Bucket(Permission::Read))
        }
        Method::GET | Method::HEAD => ("s3:ListBucket", List::Bucket(Permission::Read)),
        Method::POST => ("s3:DeleteObject", List::Bucket(Permission::Write)),
        Method::DELETE => ("s3:DeleteBucket", List::None),
        _ => ("s3:CreateBucket", List::None),
    }
}

fn of_object(method: &Method, target: &Target) -> (&'static str, List) {
    let one = target.has("versionId");
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let either = |plain, versioned| if one { versioned } else { plain };
    if target.has("acl") {
        return if reads {
            let action = either("s3:GetObjectAcl", "s3:GetObjectVersionAcl");
            (action, List::Object(Permission::ReadAcl))
        } else {
            let action = either("s3:PutObjectAcl", "s3:PutObjectVersionAcl");
            (action, List::Object(Permission::WriteAcl))
        };
    }
    if target.has("tagging") {
        let action = match *method {
            Method::GET => either("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
            Method::DELETE => either("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
            _ => either("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
        };
        return (action, List::None);
    }
    if target.has("retention") {
        return (if reads { "s3:GetObjectRetention" } else { "s3:PutObjectRetention" }, List::None);
    }
    if target.has("legal-hold") {
        return (if reads { "s3:GetObjectLegalHold" } else { "s3:PutObjectLegalHold" }, List::None);
    }
    match *method {
        Method::GET if target.has("uploadId") => {
            ("s3:ListMultipartUploadParts", List::Bucket(Permission::Write))
        }
        Method::GET if target.has("attributes") => {
            let action = either("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes");
            (action, List::Object(Permission::Read))
        }
        Method::GET | Method::HEAD => {
            (either("s3:GetObject", "s3:GetObjectVersion"), List::Object(Permission::Read))
        }
        Method::DELETE if target.has("uploadId") => {
            ("s3:AbortMultipartUpload", List::Bucket(Permission::Write))
        }
        Method::DELETE => {
            (either("s3:DeleteObject", "s3:DeleteObjectVersion"), List::Bucket(Permission::Write))
        }
        _ => ("s3:PutObject", List::Bucket(Permission::Write)),
    }
}

/// The bucket that a request is about, once it is clear that the caller may do what they want with it.
///
/// `None` where there is no such bucket: what that means, the operation knows. Who deletes many keys is let through:
/// each key is judged by itself ([`Judge`]), once the body has told which they are.
pub(super) async fn check(
    surroundings: &Surroundings,
    caller: &Identity,
    want: &Want<'_>,
) -> S3Result<Option<(Bucket, Settings)>> {
    let Ok(name) = BucketName::parse(want.target.bucket.as_str()) else { return Ok(None) };
    let place = match surroundings.objects.settings(&name).await {
        Ok(found) => found,
        Err(BucketError::NoSuchBucket(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if want.action == "s3:CreateBucket" || want.is_of_many() {
        return Ok(Some(place));
    }
    let allowed = Judge::of(surroundings, caller, &place).allows(want).await;
    if allowed { Ok(Some(place)) } else { Err(denied()) }
}

/// Judges what a caller wants with one bucket and what is in it.
pub(super) struct Judge<'j> {
    surroundings: &'j Surroundings,
    caller: &'j Identity,
    bucket: &'j Bucket,
    settings: &'j Settings,
    policy: Option<Value>,
    ownership: Ownership,
}

impl<'j> Judge<'j> {
    pub(super) fn of(
        surroundings: &'j Surroundings,
        caller: &'j Identity,
        (bucket, settings): &'j (Bucket, Settings),
    ) -> Judge<'j> {
        let policy =
            settings.get("policy").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let ownership = Ownership::of(settings);
        Judge { surroundings, caller, bucket, settings, policy, ownership }
    }

    pub(super) async fn allows(&self, want: &Want<'_>) -> bool {
        let Judge { surroundings, caller, settings, ownership, .. } = *self;
        let owner = &surroundings.owner(&self.bucket.owner).canonical_id;
        let is_owner = *owner == caller.canonical_id;
        let by_right =
            is_owner && (ownership == Ownership::Enforced || !matches!(want.list, List::Object(_)));
        // Nothing more needs to be looked at for nearly every request.
        if by_right && self.policy.is_none() {
            return true;
        }
        let object = object_of(surroundings, &self.bucket.name, want.target).await;
        let object = object.as_ref();
        let decision = Decision { surroundings, caller, want, settings, object };
        let by_policy = self.policy.as_ref().map(|policy| decision.by_policy(policy));
        match by_policy.unwrap_or(Verdict::Silent) {
            Verdict::Deny => is_owner && want.action.ends_with("BucketPolicy"),
            Verdict::Allow => true,
            Verdict::Silent => by_right || decision.by_list(ownership, owner),
        }
    }
}

async fn object_of(
    surroundings: &Surroundings,
    bucket: &BucketName,
    target: &Target,
) -> Option<Version> {
    let key = ObjectKey::parse(target.key.as_deref()?).ok()?;
    let id = match target.get("versionId") {
        None => None,
        Some(id) => Some(VersionId::parse(id).ok()?),
    };
    surroundings.objects.find(bucket, &key, id.as_ref()).await.ok()
}

struct Decision<'d> {
    surroundings: &'d Surroundings,
    caller: &'d Identity,
    want: &'d Want<'d>,
    settings: &'d Settings,
    object: Option<&'d Version>,
}

impl Decision<'_> {
    fn known(&self) -> Option<&str> {
        Some(self.caller.canonical_id.as_str()).filter(|_| !is_nobody(self.caller))
    }

    fn by_policy(&self, policy: &Value) -> Verdict {
        let target = self.want.target;
        let mut resource = format!("arn:aws:s3:::{}", target.bucket);
        if let Some(key) = &target.key {
            resource.push('/');
            resource.push_str(key);
        }
        let request = policy::Request {
            who: Some(self.caller).filter(|caller| !is_nobody(caller)),
            action: self.want.action,
            resource: &resource,
            key: &|key| self.key(key),
        };
        let verdict = policy::judge(policy, &request);
        let shut = Blocks::of(self.settings).policies && policy::is_public(policy);
        if verdict == Verdict::Allow && shut { Verdict::Silent } else { verdict }
    }

    /// What the request has under a condition key.
    fn key(&self, key: &str) -> Known {
        let known = |value: Option<&str>| match value {
            Some(value) => Known::Is(value.to_owned()),
            None => Known::Absent,
        };
        let target = self.want.target;
        if let Some(name) = key.strip_prefix("s3:x-amz-") {
            let value = self.want.headers.get(format!("x-amz-{name}"));
            return known(value.and_then(|value| value.to_str().ok()));
        }
        if let Some(name) = key.strip_prefix("s3:existingobjecttag/") {
            let tags =
                self.object.map(|object| object.metadata.tags.as_slice()).unwrap_or_default();
            return known(
                tags.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()),
            );
        }
        if let Some(name) = key.strip_prefix("s3:requestobjecttag/") {
            let header =
                self.want.headers.get("x-amz-tagging").and_then(|value| value.to_str().ok());
            let tags = super::tagging::of_header(header).unwrap_or_default();
            return known(
                tags.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()),
            );
        }
        match key {
            "s3:prefix" => known(target.get("prefix")),
            "s3:delimiter" => known(target.get("delimiter")),
            "s3:max-keys" => known(target.get("max-keys")),
            "s3:versionid" => known(target.get("versionId")),
            // A request from this machine to itself is as private as TLS would make it.
            "aws:securetransport" => known(Some("true")),
            "aws:sourceip" => known(Some("127.0.0.1")),
            "aws:principalarn" => {
                known(Some(self.caller.arn.as_str()).filter(|arn| !arn.is_empty()))
            }
            "aws:username" => known(self.caller.arn.rsplit_once("user/").map(|(_, name)| name)),
            "aws:principalaccount" | "aws:sourceaccount" => {
                known(Some(self.surroundings.account.as_str()).filter(|_| !is_nobody(self.caller)))
            }
            "aws:useragent" | "aws:referer" => {
                let name = key.trim_start_matches("aws:").replace("useragent", "user-agent");
                known(self.want.headers.get(name).and_then(|value| value.to_str().ok()))
            }
            _ => Known::Unknown,
        }
    }

    fn by_list(&self, ownership: Ownership, bucket_owner: &str) -> bool {
        if ownership == Ownership::Enforced {
            return false;
        }
        let blocks = Blocks::of(self.settings);
        let bucket_allows = |permission| {
            let grants = acl::of_bucket(self.settings).unwrap_or_default();
            acl::allows(&grants, self.known(), permission, blocks)
        };
        match (self.want.list, self.object) {
            (List::None, _) => false,
            (List::Bucket(permission), _) => bucket_allows(permission),
            // Who may list a bucket may know that something is not there.
            (List::Object(_), None) => {
                self.known() == Some(bucket_owner) || bucket_allows(Permission::Read)
            }
            (List::Object(permission), Some(object)) => {
                let owner = self.surroundings.owner(&object.owner).canonical_id.as_str();
                let is_owner = self.known() == Some(owner);
                let about_list = matches!(permission, Permission::ReadAcl | Permission::WriteAcl);
                match &object.metadata.grants {
                    // AWS: an owner may always see and change the list, whatever it says.
                    _ if is_owner && about_list => true,
                    None => is_owner,
                    Some(grants) => acl::allows(grants, self.known(), permission, blocks),
                }
            }
        }
    }
}
