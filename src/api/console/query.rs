//! Parameters of our own addresses.

use http::Uri;
use percent_encoding::percent_decode_str;

use super::failure::Failure;
use crate::id::{BucketName, ObjectKey, VersionId};

/// The decoded value of a parameter; `None` when it is not there.
pub(super) fn maybe(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(given, _)| *given == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// The decoded value of a parameter that must be there.
pub(super) fn needed(uri: &Uri, name: &'static str) -> Result<String, Failure> {
    maybe(uri, name).ok_or(Failure::NoParameter(name))
}

/// A number; `default` when it is not there.
pub(super) fn number(uri: &Uri, name: &str, default: u64) -> Result<u64, Failure> {
    let Some(given) = maybe(uri, name) else { return Ok(default) };
    given.parse().map_err(|_| Failure::BadParameter(format!("`{given}` is not a number: {name}")))
}

pub(super) fn bucket(uri: &Uri) -> Result<BucketName, Failure> {
    BucketName::parse(needed(uri, "bucket")?).map_err(|error| bad(&error))
}

pub(super) fn key(uri: &Uri) -> Result<ObjectKey, Failure> {
    ObjectKey::parse(needed(uri, "key")?).map_err(|error| bad(&error))
}

pub(super) fn version(uri: &Uri) -> Result<Option<VersionId>, Failure> {
    maybe(uri, "version_id")
        .map(|given| VersionId::parse(given).map_err(|error| bad(&error)))
        .transpose()
}

fn bad(error: &dyn std::error::Error) -> Failure {
    Failure::BadParameter(error.to_string())
}

/// A segment of a path, decoded.
pub(super) fn segment(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/x?prefix=dags%2Fa%20b&limit=5&empty=".parse().unwrap();
        assert_eq!(maybe(&uri, "prefix").as_deref(), Some("dags/a b"));
        assert_eq!(maybe(&uri, "empty").as_deref(), Some(""));
        assert_eq!(number(&uri, "limit", 1).unwrap(), 5);
        assert_eq!(number(&uri, "other", 1).unwrap(), 1);
        assert!(number(&uri, "prefix", 1).is_err());
        assert!(matches!(needed(&uri, "bucket"), Err(Failure::NoParameter("bucket"))));
    }
}
