//! Lifecycle configurations: checked as S3 checks them, and read into what the store acts on.
//!
//! Transitions are kept and answered; there is only one kind of storage here to be in.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue};
use s3s::dto::{Timestamp as WireTimestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

use super::answer::http_date;
use super::xml::{Node, malformed};
use crate::id::random_text;
use crate::objects::{Expiry, Noncurrent, Rule, Version};

/// Rules in one configuration, and characters of an id (S3 API reference, `PutBucketLifecycleConfiguration`).
const RULES_MAX: usize = 1000;
const ID_MAX: usize = 255;

/// Where S3 would move small objects to if there were anywhere to move them; Terraform waits for it.
pub(super) fn show_default(headers: &mut HeaderMap) {
    let value = HeaderValue::from_static("all_storage_classes_128K");
    headers.insert("x-amz-transition-default-minimum-object-size", value);
}

fn invalid(message: &'static str) -> S3Error {
    s3_error!(InvalidArgument, "{}", message)
}

/// Checks a document, and gives the rules without an id one.
pub(super) fn check(document: &mut Node) -> S3Result<()> {
    if document.children.is_empty() || document.children.len() > RULES_MAX {
        return Err(malformed());
    }
    let mut ids = BTreeSet::new();
    for rule in &mut document.children {
        if rule.name != "Rule" {
            return Err(malformed());
        }
        let id = rule.text_of("ID").unwrap_or_default().to_owned();
        if id.chars().count() > ID_MAX {
            return Err(invalid("ID length should not exceed allowed limit of 255"));
        }
        if id.is_empty() {
            rule.children.retain(|child| child.name != "ID");
            rule.children.insert(0, Node::leaf("ID", random_text(48)));
        } else if !ids.insert(id) {
            return Err(invalid("Rule ID must be unique. Found same ID for more than one rule"));
        }
        read(rule)?;
    }
    Ok(())
}

/// The rules of a checked document that are in force.
pub(super) fn rules(document: &Node) -> S3Result<Vec<Rule>> {
    let enabled = document.all("Rule").filter(|rule| rule.text_of("Status") == Some("Enabled"));
    enabled.map(read).collect()
}

fn count(text: &str, message: &'static str) -> S3Result<u32> {
    let number: i64 = text.trim().parse().map_err(|_| malformed())?;
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| invalid(message))
}

fn midnight(text: &str) -> S3Result<i64> {
    let at: time::OffsetDateTime = WireTimestamp::parse(TimestampFormat::DateTime, text.trim())
        .or_else(|_| {
            // A date alone is its first moment.
            WireTimestamp::parse(TimestampFormat::DateTime, &format!("{}T00:00:00Z", text.trim()))
        })
        .map_err(|_| malformed())?
        .into();
    if at.unix_timestamp() % (24 * 60 * 60) != 0 || at.nanosecond() != 0 {
        return Err(invalid("'Date' must be at midnight GMT"));
    }
    Ok(at.unix_timestamp() * 1000)
}

fn filter(rule: &Node, into: &mut Rule) -> S3Result<()> {
    let Some(filter) = rule.child("Filter") else {
        let prefix = rule.text_of("Prefix").ok_or_else(malformed)?;
        prefix.clone_into(&mut into.prefix);
        return Ok(());
    };
    if rule.child("Prefix").is_some() || filter.children.len() > 1 {
        return Err(malformed());
    }
    for part in &filter.child("And").unwrap_or(filter).children {
        let size = || part.text.trim().parse::<u64>().map(Some).map_err(|_| malformed());
        match part.name.as_str() {
            "Prefix" => into.prefix.clone_from(&part.text),
            "ObjectSizeGreaterThan" => into.larger_than_bytes = size()?,
            "ObjectSizeLessThan" => into.smaller_than_bytes = size()?,
            "Tag" => {
                let text = |name: &str| part.text_of(name).map(str::to_owned).ok_or_else(malformed);
                into.tags.push((text("Key")?, text("Value")?));
            }
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn read(node: &Node) -> S3Result<Rule> {
    let id = node.text_of("ID").unwrap_or_default().to_owned();
    let mut rule = Rule { id, ..Rule::default() };
    if !matches!(node.text_of("Status"), Some("Enabled" | "Disabled")) {
        return Err(malformed());
    }
    filter(node, &mut rule)?;
    let mut acts = false;
    for part in &node.children {
        match part.name.as_str() {
            "Expiration" => expiration(part, &mut rule)?,
            "NoncurrentVersionExpiration" => {
                let keep = part.text_of("NewerNoncurrentVersions");
                let keep = keep.map(|keep| {
                    count(keep, "'NewerNoncurrentVersions' must be a positive integer")
                });
                let days = part.text_of("NoncurrentDays").ok_or_else(malformed)?;
                let days = count(
                    days,
                    "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
                )?;
                rule.noncurrent = Some(Noncurrent { days, keep: keep.transpose()?.unwrap_or(0) });
            }
            "AbortIncompleteMultipartUpload" => {
                let days = part.text_of("DaysAfterInitiation").ok_or_else(malformed)?;
                rule.uploads_days =
                    Some(count(days, "'DaysAfterInitiation' must be a positive integer")?);
            }
            "Transition" | "NoncurrentVersionTransition" => {
                part.text_of("StorageClass").ok_or_else(malformed)?;
                if let Some(date) = part.text_of("Date") {
                    midnight(date)?;
                }
            }
            "ID" | "Prefix" | "Filter" | "Status" => continue,
            _ => return Err(malformed()),
        }
        acts = true;
    }
    if !acts {
        return Err(s3_error!(
            InvalidRequest,
            "At least one action needs to be specified in a rule"
        ));
    }
    Ok(rule)
}

fn expiration(part: &Node, rule: &mut Rule) -> S3Result<()> {
    let days = part.text_of("Days");
    let date = part.text_of("Date");
    let markers = part.text_of("ExpiredObjectDeleteMarker");
    match (days, date, markers) {
        (Some(days), None, None) => {
            let days = count(days, "'Days' for Expiration action must be a positive integer")?;
            rule.expiry = Some(Expiry::Days(days));
        }
        (None, Some(date), None) => rule.expiry = Some(Expiry::At(midnight(date)?)),
        (None, None, Some(markers)) => rule.markers = markers == "true",
        _ => return Err(malformed()),
    }
    Ok(())
}

/// `x-amz-expiration`: when the first of the rules ends an object.
pub(super) fn expiration_of(document: Option<&str>, version: &Version) -> Option<String> {
    let document = Node::parse(document?.as_bytes()).ok()?;
    let rules = rules(&document).ok()?;
    let ends = rules.iter().filter_map(|rule| Some((rule.end_of(version)?, rule)));
    let (at, rule) = ends.min_by_key(|(at, _)| *at)?;
    let id = super::listing::url_encoded(&rule.id);
    Some(format!("expiry-date=\"{}\", rule-id=\"{id}\"", http_date(at)))
}
