//! `ListObjects`, `ListObjectsV2` and `ListObjectVersions`, from query to XML.
//!
//! The wire is ours: `s3s` writes delete markers and versions in two heaps, not in listing order, refuses empty tokens
//! and cannot write keys that hold control characters.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use s3s::{S3Error, S3Result, s3_error};

use super::Surroundings;
use super::error;
use super::signature::query_pairs;
use super::xml::{self, Xml};
use crate::clock::Timestamp;
use crate::id::{BucketName, ObjectKey, VersionId};
use crate::limits::LIST_PAGE_MAX;
use crate::objects::{After, Checksum, Entry, Page, Query, Shown, Span, Version};

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
    Versions,
}

/// A listing that was asked for, still in its own words.
#[derive(Debug)]
pub(super) struct Listing {
    kind: Kind,
    bucket: String,
    parameters: Vec<(String, String)>,
    limit: usize,
    /// `encoding-type=url`.
    encoded: bool,
}

/// The parameters of listings; anything else in a bucket's query names a sub-resource.
const PARAMETERS: [&str; 14] = [
    "list-type",
    "versions",
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "key-marker",
    "version-id-marker",
    "allow-unordered",
    "x-id",
];

impl Listing {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Where given and not empty: to AWS, an empty one is as good as none.
    fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A key or a part of one, as the answer shall have it.
    fn shown(&self, text: &str) -> String {
        if self.encoded { url_encoded(text) } else { text.to_owned() }
    }
}

/// As `encoding-type=url` has it: everything but unreserved characters and `/`.
pub(super) fn url_encoded(text: &str) -> String {
    const RESERVED: AsciiSet =
        NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encode(text.as_bytes(), &RESERVED).to_string()
}

/// The page size of a listing, or why it is none.
pub(super) fn page_size(name: &str, value: Option<&str>) -> S3Result<usize> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(LIST_PAGE_MAX) };
    let bad = || -> S3Error {
        s3_error!(InvalidArgument, "Provided {} not an integer or within integer range", name)
    };
    let number: i32 = value.parse().map_err(|_| bad())?;
    let number = usize::try_from(number).map_err(|_| bad())?;
    Ok(number.min(LIST_PAGE_MAX))
}

/// `Some(true)` for `url`; anything else that is given is an error.
pub(super) fn encoding(value: Option<&str>) -> S3Result<bool> {
    match value {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

/// The listing that a request asks for, if it does.
pub(super) fn asked(method: &Method, uri: &Uri) -> S3Result<Option<Listing>> {
    let path = uri.path().trim_start_matches('/');
    let bucket = path.trim_end_matches('/');
    if *method != Method::GET || bucket.is_empty() || bucket.contains('/') {
        return Ok(None);
    }
    if path.len() > bucket.len() + 1 {
        // More slashes than one behind the bucket are a key.
        return Ok(None);
    }
    let parameters = query_pairs(uri);
    if parameters.iter().any(|(name, _)| !PARAMETERS.contains(&name.as_str())) {
        return Ok(None);
    }
    let has = |name: &str| parameters.iter().any(|(there, _)| there == name);
    if has("allow-unordered")
        && parameters.iter().any(|(name, value)| name == "delimiter" && !value.is_empty())
    {
        return Err(s3_error!(InvalidArgument, "allow-unordered cannot be used with a delimiter"));
    }
    let kind = if has("versions") {
        Kind::Versions
    } else if parameters.iter().any(|(name, value)| name == "list-type" && value == "2") {
        Kind::V2
    } else {
        Kind::V1
    };
    let bucket = percent_encoding::percent_decode_str(bucket).decode_utf8_lossy().into_owned();
    let mut listing = Listing { kind, bucket, parameters, limit: 0, encoded: false };
    listing.limit = page_size("max-keys", listing.get("max-keys"))?;
    listing.encoded = encoding(listing.get("encoding-type"))?;
    Ok(Some(listing))
}

/// Answers a listing.
pub(super) async fn answer(
    surroundings: &Surroundings,
    listing: Listing,
) -> S3Result<http::Response<s3s::Body>> {
    let bucket = BucketName::parse(listing.bucket.as_str()).map_err(|_| error::no_such_bucket())?;
    let query = Query {
        shown: match listing.kind {
            Kind::V1 | Kind::V2 => Shown::Objects,
            Kind::Versions => Shown::Versions,
        },
        prefix: listing.get("prefix").unwrap_or_default().to_owned(),
        delimiter: listing.filled("delimiter").map(str::to_owned),
        after: after(&listing)?,
        limit: listing.limit,
    };
    let page = surroundings.objects.list(&bucket, query).await?;
    let root = match listing.kind {
        Kind::V1 | Kind::V2 => "ListBucketResult",
        Kind::Versions => "ListVersionsResult",
    };
    let document = Xml::document(root, |xml| {
        head(xml, &listing, &page);
        for entry in &page.entries {
            match entry {
                Entry::Version(version) => line(xml, surroundings, &listing, version),
                Entry::Group(_) => {}
            }
        }
        for entry in &page.entries {
            if let Entry::Group(prefix) = entry {
                xml.element("CommonPrefixes", |xml| xml.leaf("Prefix", &listing.shown(prefix)));
            }
        }
    });
    Ok(xml::answer(document))
}

/// Where to go on, as the three kinds say it.
fn after(listing: &Listing) -> S3Result<After> {
    let key = |name: &str| listing.filled(name).map(|key| After::Key(key.to_owned()));
    match listing.kind {
        Kind::V1 => Ok(key("marker").unwrap_or_default()),
        Kind::V2 => match listing.filled("continuation-token") {
            Some(token) => Ok(After::Key(last_of(token)?)),
            None => Ok(key("start-after").unwrap_or_default()),
        },
        Kind::Versions => match (listing.filled("key-marker"), listing.filled("version-id-marker"))
        {
            (None, Some(_)) => Err(s3_error!(
                InvalidArgument,
                "A version-id marker cannot be specified without a key marker."
            )),
            (None, None) => Ok(After::Start),
            (Some(key), None) => Ok(After::Key(key.to_owned())),
            (Some(key), Some(id)) => {
                let id = VersionId::parse(id)
                    .map_err(|_| s3_error!(InvalidArgument, "Invalid version id specified"))?;
                match ObjectKey::parse(key) {
                    Ok(key) => Ok(After::Version(key, id)),
                    Err(_) => Ok(After::Key(key.to_owned())),
                }
            }
        },
    }
}

fn token_of(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

fn last_of(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let last = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let bad = || -> S3Error {
        s3_error!(InvalidArgument, "The continuation token provided is incorrect")
    };
    last.filter(|last| !last.is_empty()).ok_or_else(bad)
}

fn last_text(page: &Page) -> &str {
    match page.entries.last() {
        Some(Entry::Version(version)) => version.key.as_str(),
        Some(Entry::Group(prefix)) => prefix,
        None => "",
    }
}

fn head(xml: &mut Xml, listing: &Listing, page: &Page) {
    let echo = |xml: &mut Xml, element: &str, parameter: &str| {
        xml.leaf(element, &listing.shown(listing.get(parameter).unwrap_or_default()));
    };
    xml.leaf("Name", &listing.bucket);
    echo(xml, "Prefix", "prefix");
    match listing.kind {
        Kind::V1 => {
            echo(xml, "Marker", "marker");
            if page.more {
                xml.leaf("NextMarker", &listing.shown(last_text(page)));
            }
        }
        Kind::V2 => {
            // The token is echoed as it came, even when it is empty.
            if let Some(token) = listing.get("continuation-token") {
                xml.leaf("ContinuationToken", token);
            }
            if page.more {
                xml.leaf("NextContinuationToken", &token_of(last_text(page)));
            }
            if listing.filled("start-after").is_some() {
                echo(xml, "StartAfter", "start-after");
            }
            xml.leaf("KeyCount", &page.entries.len().to_string());
        }
        Kind::Versions => {
            echo(xml, "KeyMarker", "key-marker");
            xml.leaf("VersionIdMarker", listing.get("version-id-marker").unwrap_or_default());
            if page.more {
                xml.leaf("NextKeyMarker", &listing.shown(last_text(page)));
                if let Some(Entry::Version(version)) = page.entries.last() {
                    xml.leaf("NextVersionIdMarker", version.id.as_str());
                }
            }
        }
    }
    xml.leaf("MaxKeys", &listing.limit.to_string());
    if listing.filled("delimiter").is_some() {
        echo(xml, "Delimiter", "delimiter");
    }
    if listing.encoded {
        xml.leaf("EncodingType", "url");
    }
    xml.leaf("IsTruncated", if page.more { "true" } else { "false" });
}

/// A moment as XML has it: milliseconds and `Z`.
pub(super) fn xml_date(at: Timestamp) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    at.to_utc().format(&format).unwrap_or_default()
}

fn line(xml: &mut Xml, surroundings: &Surroundings, listing: &Listing, version: &Version) {
    let versions = listing.kind == Kind::Versions;
    let element = match (versions, version.is_delete_marker) {
        (false, _) => "Contents",
        (true, false) => "Version",
        (true, true) => "DeleteMarker",
    };
    xml.element(element, |xml| {
        xml.leaf("Key", &listing.shown(version.key.as_str()));
        if versions {
            xml.leaf("VersionId", version.id.as_str());
            xml.leaf("IsLatest", if version.is_latest { "true" } else { "false" });
        }
        xml.leaf("LastModified", &xml_date(version.modified));
        if !version.is_delete_marker {
            bytes(xml, version);
        }
        if listing.kind != Kind::V2 || listing.get("fetch-owner") == Some("true") {
            let owner = surroundings.owner(&version.owner);
            xml.element("Owner", |xml| {
                xml.leaf("ID", &owner.canonical_id);
                xml.leaf("DisplayName", &owner.display_name);
            });
        }
    });
}

fn bytes(xml: &mut Xml, version: &Version) {
    xml.leaf("ETag", &format!("\"{}\"", version.etag));
    if let Some(checksum) = &version.checksum {
        xml.leaf("ChecksumAlgorithm", checksum.algorithm.name());
        xml.leaf("ChecksumType", span_name(checksum));
    }
    xml.leaf("Size", &version.size_bytes.to_string());
    xml.leaf("StorageClass", version.metadata.storage_class.as_deref().unwrap_or("STANDARD"));
}

/// What S3 calls what a checksum spans.
pub(super) fn span_name(checksum: &Checksum) -> &'static str {
    match checksum.span {
        Span::FullObject => "FULL_OBJECT",
        Span::Composite => "COMPOSITE",
    }
}
