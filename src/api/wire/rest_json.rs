//! AWS's REST-JSON protocol: paths and JSON bodies, errors named in a header.
//!
//! Promise: a body is read to its limit and no further; every error a client sees has a code that its SDK can name.

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{Request, Response};

/// An error as the client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error's name, such as `ValidationException`: what boto3 raises.
    pub code: &'static str,
    pub status: StatusCode,
    pub message: String,
    /// An error whose members are its own, and which has no message.
    pub members: Option<serde_json::Value>,
}

impl Failure {
    /// An error of this name.
    pub fn new(code: &'static str, status: StatusCode, message: impl Into<String>) -> Failure {
        Failure { code, status, message: message.into(), members: None }
    }
}

/// A 200 with this value as its body.
pub fn answer(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("an answer is plain data");
    json(StatusCode::OK, body)
}

/// A 200 of an operation that has no output. Clients accept no body or `{}`; the latter is JSON.
pub fn empty() -> Response {
    json(StatusCode::OK, b"{}".to_vec())
}

/// An error, named in `x-amzn-ErrorType` and explained in the body.
pub fn failure(failure: &Failure) -> Response {
    // AWS: AccessDeniedException spells its one member with a capital (MWAA's service model).
    let member = if failure.code == "AccessDeniedException" { "Message" } else { "message" };
    let message = || serde_json::json!({ member: failure.message });
    let body = failure.members.clone().unwrap_or_else(message);
    let mut response = json(failure.status, body.to_string().into_bytes());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(failure.code));
    response
}

/// The whole body, if it is no longer than `max_bytes`.
pub async fn body(request: Request, max_bytes: usize) -> Result<Bytes, Failure> {
    to_bytes(request.into_body(), max_bytes).await.map_err(|_| {
        Failure::new(
            "RequestEntityTooLargeException",
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body could not be read, or is longer than {max_bytes} bytes"),
        )
    })
}

/// The segments of a raw path, each decoded after the path was split: `%2F` is part of a name, not a slash.
pub fn segments(raw_path: &str) -> Result<Vec<String>, Failure> {
    raw_path.trim_start_matches('/').split('/').map(decoded).collect()
}

/// The values of a query parameter, in order, decoded.
pub fn query_values(raw_query: Option<&str>, name: &str) -> Result<Vec<String>, Failure> {
    let mut values = Vec::new();
    for pair in raw_query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(key)? == name {
            values.push(decoded(&value.replace('+', " "))?);
        }
    }
    Ok(values)
}

fn decoded(text: &str) -> Result<String, Failure> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| {
        let message = format!("`{text}` is not percent-encoded UTF-8");
        Failure::new("ValidationException", StatusCode::BAD_REQUEST, message)
    })?;
    Ok(text.into_owned())
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_keeps_its_encoded_slash() {
        let arn = "/tags/arn%3Aaws%3Aairflow%3Aus-east-1%3A123456789012%3Aenvironment%2FMy-Env";
        let expected = "arn:aws:airflow:us-east-1:123456789012:environment/My-Env";
        assert_eq!(segments(arn).unwrap(), ["tags", expected]);
    }

    #[test]
    fn a_repeated_query_parameter_is_a_list() {
        let query = Some("tagKeys=a&other=x&tagKeys=b%20c&tagKeys=d+e");
        assert_eq!(query_values(query, "tagKeys").unwrap(), ["a", "b c", "d e"]);
        assert!(query_values(None, "tagKeys").unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_error_is_named_in_a_header_and_explained_in_the_body() {
        let denied = Failure::new("AccessDeniedException", StatusCode::FORBIDDEN, "no");
        let response = failure(&denied);
        assert_eq!(response.headers()["x-amzn-errortype"], "AccessDeniedException");
        let body = to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, r#"{"Message":"no"}"#);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused() {
        let request = http::Request::new(Body::from("123456"));
        let refused = body(request, 5).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
