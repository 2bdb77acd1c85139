//! Whose signature a request carries, and how to take it off.

use std::collections::HashMap;

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use time::macros::format_description;

use crate::clock::Timestamp;
use crate::config::Identity;

/// Who a request says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is not signed.
    None,
    /// A form upload: the signature is inside the form.
    Form,
    /// The access key id of its signature, of whatever kind.
    Key(String),
}

/// The secrets of our identities, for `s3s` to verify with.
pub(super) struct Secrets(HashMap<String, SecretKey>);

impl Secrets {
    pub(super) fn of(identities: &[Identity]) -> Secrets {
        let pair = |identity: &Identity| {
            let secret = SecretKey::from(identity.secret_access_key.clone());
            (identity.access_key_id.clone(), secret)
        };
        Secrets(identities.iter().map(pair).collect())
    }
}

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.get(access_key).cloned().ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        })
    }
}

/// Whether this is a form upload (POST to a bucket).
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("multipart/form-data"))
}

/// The names and values of a query, decoded. A `+` is a space.
pub(super) fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let query = uri.query().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn query_value(uri: &Uri, wanted: &str) -> Option<String> {
    query_pairs(uri).into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

/// Finds the signature of a request: `SigV4` or `SigV2`, in a header or in the query.
pub(super) fn claim(method: &Method, uri: &Uri, headers: &HeaderMap) -> S3Result<Claim> {
    if method == Method::POST && is_form(headers) {
        return Ok(Claim::Form);
    }
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.map(str::trim).filter(|header| !header.is_empty());
    let v4 = query_value(uri, "X-Amz-Credential");
    let v2 = query_value(uri, "AWSAccessKeyId");
    match (header, v4, v2) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
             query string parameter or the Authorization header should be specified"
        )),
        (Some(header), None, None) => key_of_header(header).map(|key| Claim::Key(key.to_owned())),
        (None, Some(credential), _) => {
            let key = credential.split('/').next().unwrap_or_default();
            Ok(Claim::Key(key.to_owned()))
        }
        (None, None, Some(key)) => Ok(Claim::Key(key)),
        (None, None, None) => Ok(Claim::None),
    }
}

fn key_of_header(header: &str) -> S3Result<&str> {
    let malformed = || {
        s3_error!(
            AuthorizationHeaderMalformed,
            "The authorization header that you provided is not valid."
        )
    };
    if let Some(fields) = header.strip_prefix("AWS4-HMAC-SHA256") {
        let field = |name: &str| {
            let mut all = fields.split(',').map(str::trim);
            all.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let credential = field("Credential").ok_or_else(malformed)?;
        // A key, a day, a region, a service and a last word; only the key may hold slashes, and none does.
        if credential.split('/').count() != 5
            || field("SignedHeaders").is_none_or(str::is_empty)
            || field("Signature").is_none_or(str::is_empty)
        {
            return Err(malformed());
        }
        return Ok(credential.split('/').next().unwrap_or_default());
    }
    let Some(rest) = header.strip_prefix("AWS ") else {
        return Err(s3_error!(InvalidArgument, "Unsupported Authorization Type"));
    };
    match rest.trim().split_once(':') {
        Some((key, signature)) if !key.is_empty() && !signature.is_empty() => Ok(key),
        Some(_) | None => Err(s3_error!(
            InvalidArgument,
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"
        )),
    }
}

/// How far a request's clock may be from ours (S3 API reference, `RequestTimeTooSkewed`).
const SKEW_MAX_SECONDS: i64 = 15 * 60;

/// Refuses a request that is signed in a header but does not say when, or at another time than now.
pub(super) fn check_date(headers: &HeaderMap, now: Timestamp) -> S3Result<()> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else { return Ok(()) };
    let named = headers.get("x-amz-date").or(headers.get(header::DATE));
    let text = named.and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let long = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = time::PrimitiveDateTime::parse(text, long)
        .map(time::PrimitiveDateTime::assume_utc)
        .or_else(|_| {
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822)
        });
    let at = at.map_err(|_| {
        s3_error!(AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
    })?;
    // `s3s` compares the time of a version 4 signature itself.
    let second_version = authorization.as_bytes().starts_with(b"AWS ");
    if second_version && (at.unix_timestamp() - now.as_millis() / 1000).abs() > SKEW_MAX_SECONDS {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "The difference between the request time and the current time is too large."
        ));
    }
    Ok(())
}

/// The longest life of a presigned URL (S3 user guide, "Sharing objects with presigned URLs"): seven days.
const PRESIGNED_MAX_SECONDS: i64 = 604_800;

/// Refuses a presigned request whose time is over. Without a secret that is all that can be checked.
pub(super) fn check_expiry(uri: &Uri, now: Timestamp) -> S3Result<()> {
    let now = now.as_millis() / 1000;
    let expired = || s3_error!(AccessDenied, "Request has expired");
    if let Some(seconds) = query_value(uri, "X-Amz-Expires") {
        let malformed = || {
            s3_error!(
                AuthorizationQueryParametersError,
                "X-Amz-Expires must be a number of seconds from 1 to 604800"
            )
        };
        let seconds: i64 = seconds.parse().map_err(|_| malformed())?;
        if !(1..=PRESIGNED_MAX_SECONDS).contains(&seconds) {
            return Err(malformed());
        }
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = query_value(uri, "X-Amz-Date").unwrap_or_default();
        let signed =
            time::PrimitiveDateTime::parse(&date, format).map_err(|_| malformed())?.assume_utc();
        if now > signed.unix_timestamp() + seconds {
            return Err(expired());
        }
    } else if query_value(uri, "AWSAccessKeyId").is_some() {
        // AWS: version 2's `Expires` is a moment, in seconds since the epoch.
        let at = query_value(uri, "Expires").and_then(|at| at.parse::<i64>().ok());
        if at.is_none_or(|at| now > at) {
            return Err(expired());
        }
    }
    Ok(())
}

const SIGNED_QUERY: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
];

/// Takes everything off that belongs to a signature, so that nobody verifies it a second time.
pub(super) fn strip(uri: &Uri, headers: &mut HeaderMap) -> Uri {
    for name in ["authorization", "x-amz-security-token", "x-amz-content-sha256", "x-amz-date"] {
        headers.remove(name);
    }
    let Some(query) = uri.query() else { return uri.clone() };
    let left: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            !SIGNED_QUERY.contains(&name.as_ref())
        })
        .collect();
    with_path_and_query(uri, uri.path(), Some(&left.join("&")))
}

/// The same URI with another path and query.
pub(super) fn with_path_and_query(uri: &Uri, path: &str, query: Option<&str>) -> Uri {
    let text = match query.filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = text.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(uri: &'static str, authorization: &'static str) -> Claim {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        claim(&Method::GET, &Uri::from_static(uri), &headers).unwrap()
    }

    #[test]
    fn the_access_key_is_found_in_all_four_places() {
        let key = Claim::Key("AKID".to_owned());
        let v4 = "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=a";
        assert_eq!(claimed("/b/k", v4), key);
        assert_eq!(claimed("/b/k", "AWS AKID:c2lnbmVk"), key);
        let presigned = "/b/k?X-Amz-Credential=AKID%2F20260102%2Fus-east-1%2Fs3%2Faws4_request";
        assert_eq!(claimed(presigned, ""), key);
        assert_eq!(claimed("/b/k?AWSAccessKeyId=AKID&Signature=a&Expires=1", ""), key);
        assert_eq!(claimed("/b/k?versionId=null", ""), Claim::None);
    }

    #[test]
    fn what_is_stripped_is_the_signature_and_nothing_else() {
        let uri =
            Uri::from_static("/b/k?versionId=null&AWSAccessKeyId=A&Signature=s&Expires=1&acl");
        assert_eq!(strip(&uri, &mut HeaderMap::new()), "/b/k?versionId=null&acl");
    }

    #[test]
    fn a_presigned_url_expires() {
        let now = Timestamp::from_millis(1_767_323_045_000);
        let old = "/b/k?AWSAccessKeyId=A&Signature=s&Expires=1000";
        assert!(check_expiry(&Uri::from_static(old), now).is_err());
        let zero = "/b/k?X-Amz-Credential=A&X-Amz-Date=20260102T030405Z&X-Amz-Expires=0";
        assert!(check_expiry(&Uri::from_static(zero), now).is_err());
        assert!(check_expiry(&Uri::from_static("/b/k"), now).is_ok());
    }
}
