//! Object lock on the wire: retention, legal hold, and a bucket's default.

use http::HeaderMap;
use s3s::dto::{Timestamp as WireTimestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

use super::buckets::set;
use super::error::custom;
use super::listing::xml_date;
use super::xml::{Node, Xml, malformed};
use crate::clock::Timestamp;
use crate::objects::{DefaultRetention, Lock, Metadata, Mode, Period, Retention};

fn mode_of(name: &str) -> Option<Mode> {
    match name {
        "GOVERNANCE" => Some(Mode::Governance),
        "COMPLIANCE" => Some(Mode::Compliance),
        _ => None,
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Governance => "GOVERNANCE",
        Mode::Compliance => "COMPLIANCE",
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let at: time::OffsetDateTime =
        WireTimestamp::parse(TimestampFormat::DateTime, text).ok()?.into();
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_millis)
}

/// What a write says of the lock of the version it makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) retention: Option<Retention>,
    pub(super) legal_hold: Option<bool>,
    /// Something was said, if only that there shall be no hold.
    pub(super) any: bool,
}

impl Asked {
    /// Takes what is about locks out of the headers.
    pub(super) fn read(headers: &mut HeaderMap, now: Timestamp) -> S3Result<Asked> {
        let mut take = |name: &str| {
            let value = headers.remove(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        };
        let mode = take("x-amz-object-lock-mode");
        let until = take("x-amz-object-lock-retain-until-date");
        let hold = take("x-amz-object-lock-legal-hold");
        let any = mode.is_some() || until.is_some() || hold.is_some();
        let legal_hold = match hold.as_deref() {
            None => None,
            Some("OFF") => Some(false),
            Some("ON") => Some(true),
            Some(_) => {
                return Err(s3_error!(
                    InvalidArgument,
                    "Legal Hold must be either of 'ON' or 'OFF'"
                ));
            }
        };
        let retention = match (mode, until) {
            (None, None) => None,
            (Some(mode), Some(until)) => {
                let mode = mode_of(&mode)
                    .ok_or_else(|| s3_error!(InvalidArgument, "Unknown wormMode directive."))?;
                let until = moment(&until).ok_or_else(|| {
                    s3_error!(
                        InvalidArgument,
                        "The retain until date must be provided in ISO 8601 format"
                    )
                })?;
                if until <= now {
                    return Err(past());
                }
                Some(Retention { mode, until_ms: until.as_millis() })
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(s3_error!(
                    InvalidArgument,
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
                ));
            }
        };
        Ok(Asked { retention, legal_hold, any })
    }
}

fn past() -> S3Error {
    s3_error!(InvalidArgument, "The retain until date must be in the future!")
}

/// The answer to somebody who speaks of locks where there are none.
pub(super) fn no_lock() -> S3Error {
    s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration")
}

/// Says how a version is locked.
pub(super) fn show(headers: &mut HeaderMap, metadata: &Metadata) {
    if let Some(Retention { mode, until_ms }) = metadata.retention {
        set(headers, "x-amz-object-lock-mode", mode_name(mode));
        let until = xml_date(Timestamp::from_millis(until_ms));
        set(headers, "x-amz-object-lock-retain-until-date", &until);
    }
    if let Some(on) = metadata.legal_hold {
        set(headers, "x-amz-object-lock-legal-hold", if on { "ON" } else { "OFF" });
    }
}

/// Reads an `ObjectLockConfiguration`.
pub(super) fn read(document: &Node) -> S3Result<Lock> {
    if document.text_of("ObjectLockEnabled") != Some("Enabled") {
        return Err(malformed());
    }
    let Some(rule) = document.child("Rule") else { return Ok(Lock { default: None }) };
    let default = rule.child("DefaultRetention").ok_or_else(malformed)?;
    let mode = default.text_of("Mode").and_then(mode_of).ok_or_else(malformed)?;
    let count = |text: &str| -> S3Result<u32> {
        let number: i64 = text.trim().parse().map_err(|_| malformed())?;
        // AWS: a hundred years are the most.
        u32::try_from(number).ok().filter(|number| (1..=36_500).contains(number)).ok_or_else(|| {
            custom(
                "InvalidRetentionPeriod",
                http::StatusCode::BAD_REQUEST,
                "Default retention period must be a positive integer value.",
            )
        })
    };
    let period = match (default.text_of("Days"), default.text_of("Years")) {
        (Some(days), None) => Period::Days(count(days)?),
        (None, Some(years)) => Period::Years(count(years)?),
        (Some(_), Some(_)) | (None, None) => return Err(malformed()),
    };
    Ok(Lock { default: Some(DefaultRetention { mode, period }) })
}

/// Writes an `ObjectLockConfiguration`.
pub(super) fn write(lock: &Lock) -> String {
    Xml::document("ObjectLockConfiguration", |xml| {
        xml.leaf("ObjectLockEnabled", "Enabled");
        let Some(DefaultRetention { mode, period }) = lock.default else { return };
        xml.element("Rule", |xml| {
            xml.element("DefaultRetention", |xml| {
                xml.leaf("Mode", mode_name(mode));
                match period {
                    Period::Days(days) => xml.leaf("Days", &days.to_string()),
                    Period::Years(years) => xml.leaf("Years", &years.to_string()),
                }
            });
        });
    })
}

/// Reads a `Retention`; an empty one takes the retention away.
pub(super) fn read_retention(document: &Node, now: Timestamp) -> S3Result<Option<Retention>> {
    match (document.text_of("Mode"), document.text_of("RetainUntilDate")) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = mode_of(mode).ok_or_else(malformed)?;
            let until = moment(until.trim()).ok_or_else(malformed)?;
            if until <= now {
                return Err(past());
            }
            Ok(Some(Retention { mode, until_ms: until.as_millis() }))
        }
        (Some(_), None) | (None, Some(_)) => Err(malformed()),
    }
}

/// Writes a `Retention`.
pub(super) fn write_retention(retention: Retention) -> String {
    Xml::document("Retention", |xml| {
        xml.leaf("Mode", mode_name(retention.mode));
        xml.leaf("RetainUntilDate", &xml_date(Timestamp::from_millis(retention.until_ms)));
    })
}

/// Reads a `LegalHold`.
pub(super) fn read_hold(document: &Node) -> S3Result<bool> {
    match document.text_of("Status") {
        Some("ON") => Ok(true),
        Some("OFF") => Ok(false),
        Some(_) | None => Err(malformed()),
    }
}

/// Writes a `LegalHold`.
pub(super) fn write_hold(on: bool) -> String {
    Xml::document("LegalHold", |xml| xml.leaf("Status", if on { "ON" } else { "OFF" }))
}
