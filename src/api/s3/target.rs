//! What a request is about: a bucket, perhaps a key, and the names in its query.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3Result, s3_error};

use super::signature::query_pairs;

/// Bucket, key and query of a request in path style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Empty where the request is about the service.
    pub(super) bucket: String,
    pub(super) key: Option<String>,
    query: Vec<(String, String)>,
}

fn bad_uri() -> S3Error {
    s3_error!(InvalidURI, "Couldn't parse the specified URI.")
}

impl Target {
    /// Reads the path, decoding it once.
    pub(super) fn of(uri: &Uri) -> S3Result<Target> {
        let decoded = |text: &str| {
            percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| bad_uri())
        };
        let path = uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let key = if key.is_empty() { None } else { Some(decoded(key)?) };
        Ok(Target { bucket: decoded(bucket)?, key, query: query_pairs(uri) })
    }

    /// An object, or one version of it.
    pub(super) fn of_object(bucket: &str, key: &str, version: Option<&str>) -> Target {
        let query = version.map(|id| ("versionId".to_owned(), id.to_owned()));
        let (bucket, key) = (bucket.to_owned(), Some(key.to_owned()));
        Target { bucket, key, query: query.into_iter().collect() }
    }

    /// Whether the query has that name, with a value or without.
    pub(super) fn has(&self, name: &str) -> bool {
        self.query.iter().any(|(there, _)| there == name)
    }

    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// Whether a request with that method brings an object's bytes, and not XML about it.
    pub(super) fn brings_bytes(&self, method: &Method) -> bool {
        let plain = ["partNumber", "uploadId", "x-id"];
        *method == Method::PUT
            && self.key.is_some()
            && self.query.iter().all(|(name, _)| plain.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_never_tidied() {
        let target = |uri: &'static str| Target::of(&Uri::from_static(uri)).unwrap();
        assert_eq!(target("/b//a%2520/../+").key.as_deref(), Some("/a%20/../+"));
        assert_eq!(target("/b/").key, None);
        assert_eq!(target("/b?acl").bucket, "b");
        assert!(target("/b?acl").has("acl"));
        assert!(Target::of(&Uri::from_static("/b/%ff")).is_err());
    }
}
