//! Signature Version 4: who signed a request, and whether the signature is theirs.
//!
//! The rule: AWS General Reference, "Signing AWS API requests". Both forms are understood, the `Authorization` header
//! and the presigned query. Whether an unknown access key may come in is the gateway's decision, not made here; nor is
//! the age of a signature in a header judged, because laptops' clocks are off.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use crate::clock::{Clock, Timestamp};
use crate::limits::PRESIGNED_MAX_SECONDS;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What a well-formed signature says, checked as far as we know the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub access_key_id: String,
    /// From the credential scope: `airflow`, `sqs`, `s3`.
    pub service: String,
    /// From the credential scope: the caller's region, which need not be ours.
    pub region: String,
    /// The access key is one of ours, and the signature is right. Otherwise nothing is proven.
    pub known: bool,
}

/// Why a request's signature was not accepted, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    /// AWS's error code, such as `SignatureDoesNotMatch`.
    pub code: &'static str,
    pub message: String,
}

impl AuthError {
    /// The request is not signed at all.
    pub fn missing() -> AuthError {
        AuthError {
            code: "MissingAuthenticationToken",
            message: "Request is missing Authentication Token".to_owned(),
        }
    }

    /// The access key is not one that we issued: for a gateway that is strict.
    pub fn unrecognized() -> AuthError {
        AuthError {
            code: "UnrecognizedClientException",
            message: "The security token included in the request is invalid.".to_owned(),
        }
    }

    fn incomplete(why: impl fmt::Display) -> AuthError {
        AuthError { code: "IncompleteSignature", message: why.to_string() }
    }

    fn mismatch() -> AuthError {
        AuthError {
            code: "SignatureDoesNotMatch",
            message: "The request signature we calculated does not match the signature you provided. \
                      Check your AWS Secret Access Key and signing method. Consult the service documentation for \
                      details."
                .to_owned(),
        }
    }

    fn expired() -> AuthError {
        AuthError {
            code: "ExpiredTokenException",
            message: "Signature expired: the presigned request is past its X-Amz-Expires"
                .to_owned(),
        }
    }
}

/// The credential scope alone, without any check: enough to tell which service a request is meant for.
pub fn scope_service(parts: &Parts) -> Option<String> {
    Claim::read(parts).ok().map(|claim| claim.service)
}

/// Checks the signature of a request. `body` is `None` where the body is not at hand: then the digest that the
/// request itself declares is taken. `lookup` gives the secret of an access key that we issued.
///
/// Presigned requests are held to their `X-Amz-Expires`.
pub fn verify(
    parts: &Parts,
    body: Option<&[u8]>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Verified, AuthError> {
    verify_at(Clock::system().now(), parts, body, lookup)
}

/// [`verify`], at a moment that the caller names.
pub fn verify_at(
    now: Timestamp,
    parts: &Parts,
    body: Option<&[u8]>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Verified, AuthError> {
    let claim = Claim::read(parts)?;
    claim.check_expiry(now)?;
    let secret = lookup(&claim.access_key_id);
    if let Some(secret) = &secret {
        claim.check_signature(secret, parts, body)?;
    }
    Ok(Verified {
        access_key_id: claim.access_key_id,
        service: claim.service,
        region: claim.region,
        known: secret.is_some(),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    Header,
    /// With its life in seconds.
    Presigned(i64),
}

/// A signature and what it claims to cover.
#[derive(Debug)]
struct Claim {
    form: Form,
    access_key_id: String,
    /// `20260102`.
    day: String,
    region: String,
    service: String,
    /// `20260102T030405Z`.
    at: String,
    /// Lower case, as listed.
    signed_headers: Vec<String>,
    /// Hexadecimal.
    signature: String,
}

impl Claim {
    fn read(parts: &Parts) -> Result<Claim, AuthError> {
        match parts.headers.get(http::header::AUTHORIZATION) {
            Some(value) => {
                let text = value
                    .to_str()
                    .map_err(|_| AuthError::incomplete("Authorization header is not ASCII"))?;
                Claim::from_header(parts, text)
            }
            None => Claim::from_query(parts),
        }
    }

    fn from_header(parts: &Parts, text: &str) -> Result<Claim, AuthError> {
        let fields = text.strip_prefix(ALGORITHM).ok_or_else(|| {
            AuthError::incomplete(format_args!("Authorization header must begin with {ALGORITHM}"))
        })?;
        let field = |name: &str| {
            fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
                .ok_or_else(|| {
                    AuthError::incomplete(format_args!(
                        "Authorization header requires '{name}' parameter."
                    ))
                })
        };
        let at = header_date(parts)?;
        Claim::assemble(
            Form::Header,
            field("Credential")?,
            at,
            field("SignedHeaders")?,
            field("Signature")?,
        )
    }

    fn from_query(parts: &Parts) -> Result<Claim, AuthError> {
        let query = query_pairs(parts);
        let find =
            |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if find("X-Amz-Algorithm").is_none() && find("X-Amz-Signature").is_none() {
            return Err(AuthError::missing());
        }
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                AuthError::incomplete(format_args!("the query requires '{name}' parameter."))
            })
        };
        if need("X-Amz-Algorithm")? != ALGORITHM {
            return Err(AuthError::incomplete(format_args!("X-Amz-Algorithm must be {ALGORITHM}")));
        }
        let life = need("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|life| (1..=PRESIGNED_MAX_SECONDS).contains(life))
            .ok_or_else(|| {
                AuthError::incomplete(format_args!(
                    "X-Amz-Expires must be a number of seconds from 1 to {PRESIGNED_MAX_SECONDS}"
                ))
            })?;
        Claim::assemble(
            Form::Presigned(life),
            need("X-Amz-Credential")?,
            need("X-Amz-Date")?.to_owned(),
            need("X-Amz-SignedHeaders")?,
            need("X-Amz-Signature")?,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the five parts of a signature, in wire order")]
    fn assemble(
        form: Form,
        credential: &str,
        at: String,
        signed_headers: &str,
        signature: &str,
    ) -> Result<Claim, AuthError> {
        let bad_scope = || {
            AuthError::incomplete(format_args!(
                "Credential must have the form KEY/DATE/REGION/SERVICE/aws4_request, got: {credential}"
            ))
        };
        // From the right: an access key of another vendor's may hold slashes.
        let mut scope = credential.rsplitn(5, '/');
        if scope.next() != Some("aws4_request") {
            return Err(bad_scope());
        }
        let mut next = || scope.next().filter(|part| !part.is_empty()).ok_or_else(bad_scope);
        let (service, region, day, access_key_id) = (next()?, next()?, next()?, next()?);
        if !at.starts_with(day) {
            return Err(AuthError::incomplete(format_args!(
                "Date in Credential scope does not match YYYYMMDD from the request's date: {day}, {at}"
            )));
        }
        Ok(Claim {
            form,
            access_key_id: access_key_id.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            at,
            signed_headers: signed_headers.split(';').map(str::to_ascii_lowercase).collect(),
            signature: signature.to_owned(),
        })
    }

    fn check_expiry(&self, now: Timestamp) -> Result<(), AuthError> {
        let Form::Presigned(life) = self.form else { return Ok(()) };
        let began = parse_at(&self.at).ok_or_else(|| {
            AuthError::incomplete(format_args!(
                "X-Amz-Date must be in the form YYYYMMDDTHHMMSSZ, got: {}",
                self.at
            ))
        })?;
        if now > began.plus_millis(life * 1000) { Err(AuthError::expired()) } else { Ok(()) }
    }

    fn check_signature(
        &self,
        secret: &str,
        parts: &Parts,
        body: Option<&[u8]>,
    ) -> Result<(), AuthError> {
        let canonical = self.canonical_request(parts, body)?;
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let to_sign =
            format!("{ALGORITHM}\n{}\n{scope}\n{}", self.at, hex_digest(canonical.as_bytes()));
        let given = hex::decode(&self.signature).map_err(|_| AuthError::mismatch())?;
        let mut key = format!("AWS4{secret}").into_bytes();
        for step in [&self.day, &self.region, &self.service, "aws4_request"] {
            key = mac(&key, step).finalize().into_bytes().to_vec();
        }
        mac(&key, &to_sign).verify_slice(&given).map_err(|_| AuthError::mismatch())
    }

    fn canonical_request(&self, parts: &Parts, body: Option<&[u8]>) -> Result<String, AuthError> {
        let mut headers = String::new();
        for name in &self.signed_headers {
            let value = signed_value(parts, name).ok_or_else(|| {
                AuthError::incomplete(format_args!("signed header '{name}' is not in the request"))
            })?;
            headers.push_str(name);
            headers.push(':');
            headers.push_str(&value);
            headers.push('\n');
        }
        Ok(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            parts.method,
            self.canonical_path(parts.uri.path()),
            canonical_query(parts),
            self.signed_headers.join(";"),
            self.payload(parts, body),
        ))
    }

    /// AWS: every service but S3 normalizes the path and encodes it a second time.
    fn canonical_path(&self, path: &str) -> String {
        if self.service == "s3" {
            let decoded: Vec<u8> = percent_decode_str(path).collect();
            return encode(&decoded, Slash::Kept);
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        let mut normal = format!("/{}", segments.join("/"));
        if path.ends_with('/') && !segments.is_empty() {
            normal.push('/');
        }
        encode(normal.as_bytes(), Slash::Kept)
    }

    fn payload(&self, parts: &Parts, body: Option<&[u8]>) -> String {
        let declared =
            parts.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        // S3 declares the digest of the body, or that it has none; what the header says is then what was signed.
        match (body, declared) {
            (None, Some(declared)) => declared.to_owned(),
            (Some(_), Some(declared)) if declared == UNSIGNED => declared.to_owned(),
            (_, None) if self.service == "s3" && self.form != Form::Header => UNSIGNED.to_owned(),
            (Some(body), _) => hex_digest(body),
            (None, None) => hex_digest(b""),
        }
    }
}

fn header_date(parts: &Parts) -> Result<String, AuthError> {
    if let Some(value) = parts.headers.get("x-amz-date") {
        return value
            .to_str()
            .map(str::to_owned)
            .map_err(|_| AuthError::incomplete("X-Amz-Date is not ASCII"));
    }
    // AWS: without X-Amz-Date, the HTTP Date header is what was signed, in the same basic form.
    parts
        .headers
        .get(http::header::DATE)
        .and_then(|value| value.to_str().ok())
        .and_then(basic_date)
        .ok_or_else(|| {
            AuthError::incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            )
        })
}

fn basic_date(text: &str) -> Option<String> {
    if parse_at(text).is_some() {
        return Some(text.to_owned());
    }
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = time::PrimitiveDateTime::parse(text, format).ok()?;
    at.format(time::macros::format_description!("[year][month][day]T[hour][minute][second]Z")).ok()
}

fn parse_at(text: &str) -> Option<Timestamp> {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = time::PrimitiveDateTime::parse(text, format).ok()?;
    Some(Timestamp::from_millis(at.assume_utc().unix_timestamp() * 1000))
}

fn signed_value(parts: &Parts, name: &str) -> Option<String> {
    let mut values = Vec::new();
    for value in parts.headers.get_all(name) {
        let text = String::from_utf8_lossy(value.as_bytes());
        values.push(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    }
    if values.is_empty() && name == "host" {
        // HTTP/2 has no Host header; its authority is what was signed.
        return parts.uri.authority().map(ToString::to_string);
    }
    (!values.is_empty()).then(|| values.join(","))
}

fn query_pairs(parts: &Parts) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn canonical_query(parts: &Parts) -> String {
    let mut pairs: Vec<(String, String)> = query_pairs(parts)
        .into_iter()
        .filter(|(key, _)| key != "X-Amz-Signature")
        .map(|(key, value)| {
            (encode(key.as_bytes(), Slash::Encoded), encode(value.as_bytes(), Slash::Encoded))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join("&")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Kept,
    Encoded,
}

/// AWS's own percent-encoding: everything but unreserved characters (RFC 3986), in upper-case hexadecimal.
fn encode(bytes: &[u8], slash: Slash) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        let kept = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || (byte == b'/' && slash == Slash::Kept);
        if kept {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex::encode_upper([byte]));
        }
    }
    text
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn suite(method: &str, uri: &str, signature: &str) -> Result<Verified, AuthError> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let parts = parts(
            method,
            uri,
            &[
                ("host", "example.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
                ("authorization", &authorization),
            ],
        );
        verify(&parts, Some(b""), |key| (key == "AKIDEXAMPLE").then(|| SECRET.to_owned()))
    }

    #[test]
    fn the_examples_of_awss_test_suite_verify() {
        for (method, uri, signature) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            // Dot segments and doubled slashes are signed away.
            (
                "GET",
                "/example/..",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            ("GET", "//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ] {
            let verified = suite(method, uri, signature).unwrap();
            assert!(verified.known, "{method} {uri}");
            assert_eq!((&*verified.service, &*verified.region), ("service", "us-east-1"));
        }
    }

    #[test]
    fn the_list_users_example_of_the_general_reference_verifies() {
        let parts = parts(
            "GET",
            "/?Action=ListUsers&Version=2010-05-08",
            &[
                ("host", "iam.amazonaws.com"),
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("x-amz-date", "20150830T123600Z"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, \
                     Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
                ),
            ],
        );
        let verified = verify(&parts, Some(b""), |_| Some(SECRET.to_owned())).unwrap();
        assert!(verified.known);
        let other = verify(&parts, Some(b"changed"), |_| Some(SECRET.to_owned())).unwrap_err();
        assert_eq!(other.code, "SignatureDoesNotMatch");
        let wrong = verify(&parts, Some(b""), |_| Some("other".to_owned())).unwrap_err();
        assert_eq!(wrong.code, "SignatureDoesNotMatch");
        assert!(!verify(&parts, Some(b"changed"), |_| None).unwrap().known);
    }

    fn presigned() -> Parts {
        parts(
            "GET",
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
            &[("host", "examplebucket.s3.amazonaws.com")],
        )
    }

    #[test]
    fn the_presigned_example_of_s3_verifies_until_it_expires() {
        let parts = presigned();
        let at = |seconds: i64| {
            let now = parse_at("20130524T000000Z").unwrap().plus_millis(seconds * 1000);
            verify_at(now, &parts, None, |_| Some(S3_SECRET.to_owned()))
        };
        assert!(at(86_400).unwrap().known);
        assert_eq!(at(86_401).unwrap_err().code, "ExpiredTokenException");
    }

    fn botocore_signed(service: &str, headers: &str, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/{service}/aws4_request, \
             SignedHeaders={headers}, Signature={signature}"
        )
    }

    fn assert_verifies(parts: &Parts, body: &[u8]) {
        let now = parse_at("20260102T030405Z").unwrap();
        let verified = verify_at(now, parts, Some(body), |_| Some(SECRET.to_owned()));
        assert!(verified.is_ok_and(|verified| verified.known), "{}", parts.uri);
    }

    const DATE: (&str, &str) = ("x-amz-date", "20260102T030405Z");
    const HERE: (&str, &str) = ("host", "127.0.0.1:4570");

    #[test]
    fn what_botocore_signs_for_mwaa_verifies() {
        let signed = |signature| botocore_signed("airflow", "host;x-amz-date", signature);
        let name = signed("de1703f7402a157dd6675c5e27243b7ba655fef18dbec035f26169e1e42a143e");
        let host = ("host", "env.localhost:4570");
        let headers = [host, DATE, ("authorization", name.as_str())];
        assert_verifies(&parts("GET", "/environments/a%20b%2Fc", &headers), b"");
        let page = signed("98f52989fbea461365a477681e7497140a5248c7a80ee839565b92fb2e0e039d");
        let uri = "/environments?NextToken=a%2Bb%2F%3D&MaxResults=5";
        let headers = [HERE, DATE, ("authorization", page.as_str())];
        assert_verifies(&parts("GET", uri, &headers), b"");
    }

    #[test]
    fn what_botocore_signs_for_sqs_verifies() {
        let authorization = botocore_signed(
            "sqs",
            "content-type;host;x-amz-date;x-amz-target",
            "a36ce6dada44406dee494ac870fe1a85ff54903f129485d8a70b40a2df86f661",
        );
        let headers = [
            HERE,
            DATE,
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "AmazonSQS.ReceiveMessage"),
            ("authorization", &authorization),
        ];
        let body = br#"{"QueueUrl":"http://127.0.0.1:4570/123456789012/q"}"#;
        assert_verifies(&parts("POST", "/", &headers), body);
        let presigned = "/123456789012/q?Action=ReceiveMessage&AttributeName.1=All\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-central-1%2Fsqs%2Faws4_request\
             &X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=87d8a5f15d566022399430271efbfed1cf322c03ea9fcf94b3baf3f122a4c885";
        assert_verifies(&parts("GET", presigned, &[HERE]), b"");
    }

    #[test]
    fn what_is_not_well_formed_says_what_is_missing() {
        let unsigned = parts("GET", "/", &[("host", "localhost")]);
        let code = |parts: &Parts| verify(parts, Some(b""), |_| None).unwrap_err();
        assert_eq!(code(&unsigned).code, "MissingAuthenticationToken");
        let half = parts(
            "GET",
            "/",
            &[
                ("x-amz-date", "20150830T123600Z"),
                ("authorization", "AWS4-HMAC-SHA256 SignedHeaders=host"),
            ],
        );
        let error = code(&half);
        assert_eq!(error.code, "IncompleteSignature");
        assert_eq!(error.message, "Authorization header requires 'Credential' parameter.");
    }
}
