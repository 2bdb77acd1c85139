//! Access control lists: canned, in headers, and as XML.
//!
//! AWS: new buckets have them off (`BucketOwnerEnforced`), and then a request that sets one is refused.

use http::{HeaderMap, StatusCode};
use s3s::{S3Error, S3Result, s3_error};

use super::Surroundings;
use super::error::custom;
use super::settings::{Blocks, Ownership};
use super::xml::{Node, Xml};
use crate::objects::{Bucket, Grant, Grantee, Permission, Settings};

const EVERYONE: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const KNOWN: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// Grants in one list (S3 user guide, "Access control list (ACL) overview").
const GRANTS_MAX: usize = 100;

/// Permissions: in XML, and in the name of their header.
const PERMISSIONS: [(Permission, &str, &str); 5] = [
    (Permission::FullControl, "FULL_CONTROL", "x-amz-grant-full-control"),
    (Permission::Read, "READ", "x-amz-grant-read"),
    (Permission::Write, "WRITE", "x-amz-grant-write"),
    (Permission::ReadAcl, "READ_ACP", "x-amz-grant-read-acp"),
    (Permission::WriteAcl, "WRITE_ACP", "x-amz-grant-write-acp"),
];

/// The ACL that a request's headers ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) canned: Option<String>,
    grants: Vec<(Permission, String)>,
}

/// Whose ACL it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    /// Canonical ids.
    pub(super) owner: &'a str,
    pub(super) bucket_owner: &'a str,
}

pub(super) fn not_supported() -> S3Error {
    custom(
        "AccessControlListNotSupported",
        StatusCode::BAD_REQUEST,
        "The bucket does not allow ACLs",
    )
}

pub(super) fn acl_with_ownership() -> S3Error {
    custom(
        "InvalidBucketAclWithObjectOwnership",
        StatusCode::BAD_REQUEST,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

fn malformed() -> S3Error {
    custom(
        "MalformedACLError",
        StatusCode::BAD_REQUEST,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

impl Asked {
    /// Takes what is about ACLs out of the headers.
    pub(super) fn read(headers: &mut HeaderMap) -> Asked {
        let mut take = |name: &str| {
            headers.remove(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let canned = take("x-amz-acl");
        let grants = PERMISSIONS
            .iter()
            .filter_map(|(permission, _, name)| take(name).map(|grantees| (*permission, grantees)));
        Asked { grants: grants.collect(), canned }
    }

    pub(super) fn is_none(&self) -> bool {
        self.canned.is_none() && self.grants.is_empty()
    }

    /// The list that is asked for; `None` where none is.
    pub(super) fn grants(
        &self,
        surroundings: &Surroundings,
        whose: Whose<'_>,
    ) -> S3Result<Option<Vec<Grant>>> {
        match (&self.canned, self.grants.is_empty()) {
            (None, true) => Ok(None),
            (Some(_), false) => Err(s3_error!(
                InvalidRequest,
                "Specifying both Canned ACLs and Header Grants is not allowed"
            )),
            (Some(canned), true) => canned_grants(canned, whose).map(Some),
            (None, false) => {
                let mut grants = Vec::new();
                for (permission, grantees) in &self.grants {
                    for grantee in grantees.split(',') {
                        let to = grantee_of_header(surroundings, grantee.trim())?;
                        grants.push(Grant { to, permission: *permission });
                    }
                }
                Ok(Some(grants))
            }
        }
    }

    /// The list for what is written into a bucket, as its settings allow one.
    pub(super) fn of_write(
        &self,
        surroundings: &Surroundings,
        settings: &Settings,
        whose: Whose<'_>,
    ) -> S3Result<Option<Vec<Grant>>> {
        if Ownership::of(settings) == Ownership::Enforced {
            let harmless = self.canned.as_deref() == Some("bucket-owner-full-control");
            return if self.is_none() || harmless { Ok(None) } else { Err(not_supported()) };
        }
        let grants = self.grants(surroundings, whose)?;
        check_public(settings, grants.as_deref().unwrap_or_default())?;
        Ok(grants)
    }
}

/// A bucket that shuts everyone out takes no ACL that lets everyone in.
pub(super) fn check_public(settings: &Settings, grants: &[Grant]) -> S3Result<()> {
    if Blocks::of(settings).new_acls && grants.iter().any(is_public) {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    }
    Ok(())
}

pub(super) fn is_public(grant: &Grant) -> bool {
    matches!(grant.to, Grantee::Everyone | Grantee::Known)
}

fn canned_grants(canned: &str, whose: Whose<'_>) -> S3Result<Vec<Grant>> {
    let user = |id: &str, permission| Grant { to: Grantee::User(id.to_owned()), permission };
    let mut grants = vec![user(whose.owner, Permission::FullControl)];
    let mut add = |to: Grantee, permission| grants.push(Grant { to, permission });
    match canned {
        "private" | "aws-exec-read" => {}
        "public-read" => add(Grantee::Everyone, Permission::Read),
        "public-read-write" => {
            add(Grantee::Everyone, Permission::Read);
            add(Grantee::Everyone, Permission::Write);
        }
        "authenticated-read" => add(Grantee::Known, Permission::Read),
        "log-delivery-write" => {
            add(Grantee::LogDelivery, Permission::Write);
            add(Grantee::LogDelivery, Permission::ReadAcl);
        }
        "bucket-owner-read" | "bucket-owner-full-control" => {
            if whose.owner != whose.bucket_owner {
                let permission = match canned {
                    "bucket-owner-read" => Permission::Read,
                    _ => Permission::FullControl,
                };
                add(Grantee::User(whose.bucket_owner.to_owned()), permission);
            }
        }
        _ => return Err(s3_error!(InvalidArgument, "Argument \"x-amz-acl\" is not a canned ACL")),
    }
    Ok(grants)
}

fn user(surroundings: &Surroundings, id: &str) -> S3Result<Grantee> {
    if surroundings.identities.iter().any(|identity| identity.canonical_id == id) {
        return Ok(Grantee::User(id.to_owned()));
    }
    Err(s3_error!(InvalidArgument, "Invalid id"))
}

fn group(uri: &str) -> S3Result<Grantee> {
    match uri {
        EVERYONE => Ok(Grantee::Everyone),
        KNOWN => Ok(Grantee::Known),
        LOG_DELIVERY => Ok(Grantee::LogDelivery),
        _ => Err(s3_error!(InvalidArgument, "Invalid group uri")),
    }
}

fn by_email() -> S3Error {
    custom(
        "UnresolvableGrantByEmailAddress",
        StatusCode::BAD_REQUEST,
        "The e-mail address you provided does not match any account on record.",
    )
}

fn grantee_of_header(surroundings: &Surroundings, text: &str) -> S3Result<Grantee> {
    let (kind, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim().trim_matches('"');
    match kind.trim() {
        "id" => user(surroundings, value),
        "uri" => group(value),
        "emailAddress" => Err(by_email()),
        _ => Err(s3_error!(InvalidArgument, "Argument format not recognized")),
    }
}

/// Reads an `AccessControlPolicy`.
pub(super) fn read(surroundings: &Surroundings, body: &[u8], owner: &str) -> S3Result<Vec<Grant>> {
    let document = Node::parse(body).map_err(|_| malformed())?;
    let named = document.child("Owner").and_then(|owner| owner.text_of("ID"));
    match named {
        None => return Err(malformed()),
        Some(named) if named != owner => return Err(s3_error!(AccessDenied, "Access Denied")),
        Some(_) => {}
    }
    let list = document.child("AccessControlList").ok_or_else(malformed)?;
    if list.children.len() > GRANTS_MAX {
        return Err(malformed());
    }
    let mut grants = Vec::new();
    for grant in list.all("Grant") {
        let grantee = grant.child("Grantee").ok_or_else(malformed)?;
        let to = match (grantee.text_of("ID"), grantee.text_of("URI")) {
            (Some(id), _) => user(surroundings, id)?,
            (None, Some(uri)) => group(uri)?,
            (None, None) if grantee.child("EmailAddress").is_some() => return Err(by_email()),
            (None, None) => return Err(malformed()),
        };
        let named = grant.text_of("Permission").ok_or_else(malformed)?;
        let known = PERMISSIONS.iter().find(|(_, name, _)| *name == named);
        let (permission, ..) = known.ok_or_else(malformed)?;
        grants.push(Grant { to, permission: *permission });
    }
    Ok(grants)
}

/// Writes an `AccessControlPolicy`.
pub(super) fn write(surroundings: &Surroundings, owner: &str, grants: Option<&[Grant]>) -> String {
    let everything =
        [Grant { to: Grantee::User(owner.to_owned()), permission: Permission::FullControl }];
    let person = |xml: &mut Xml, id: &str| {
        xml.leaf("ID", id);
        xml.leaf("DisplayName", &surroundings.owner(id).display_name);
    };
    Xml::document("AccessControlPolicy", |xml| {
        xml.element("Owner", |xml| person(xml, owner));
        xml.element("AccessControlList", |xml| {
            for grant in grants.unwrap_or(&everything) {
                xml.element("Grant", |xml| {
                    let group = match &grant.to {
                        Grantee::User(id) => {
                            xml.typed("Grantee", "CanonicalUser", |xml| person(xml, id));
                            None
                        }
                        Grantee::Everyone => Some(EVERYONE),
                        Grantee::Known => Some(KNOWN),
                        Grantee::LogDelivery => Some(LOG_DELIVERY),
                    };
                    if let Some(uri) = group {
                        xml.typed("Grantee", "Group", |xml| xml.leaf("URI", uri));
                    }
                    let named = PERMISSIONS.iter().find(|(there, ..)| *there == grant.permission);
                    xml.leaf("Permission", named.map_or("", |(_, name, _)| name));
                });
            }
        });
    })
}

/// The list of a bucket; `None` where it has none of its own.
pub(super) fn of_bucket(settings: &Settings) -> Option<Vec<Grant>> {
    serde_json::from_str(settings.get("acl")?).ok()
}

/// A bucket's list as its setting keeps it.
pub(super) fn setting(grants: &[Grant]) -> String {
    serde_json::to_string(grants).expect("grants are plain data")
}

/// Whether somebody besides its owner may do something with a bucket.
pub(super) fn has_other_grants(bucket: &Bucket, settings: &Settings) -> bool {
    let owner = Grantee::User(bucket.owner.clone());
    of_bucket(settings).is_some_and(|grants| grants.iter().any(|grant| grant.to != owner))
}

/// Whether a list lets somebody do something. `who` is a canonical id, `None` somebody unknown.
pub(super) fn allows(
    grants: &[Grant],
    who: Option<&str>,
    permission: Permission,
    blocks: Blocks,
) -> bool {
    grants.iter().filter(|grant| !(blocks.acls && is_public(grant))).any(|grant| {
        let is_meant = match &grant.to {
            Grantee::User(id) => who == Some(id),
            Grantee::Everyone => true,
            Grantee::Known => who.is_some(),
            Grantee::LogDelivery => false,
        };
        is_meant && (grant.permission == permission || grant.permission == Permission::FullControl)
    })
}
