//! AWS JSON 1.0 and 1.1: the operation in `X-Amz-Target`, JSON both ways.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Response;

/// Which of the two: they differ in the content type alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1_0,
    V1_1,
}

impl Version {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Version::V1_0 => "application/x-amz-json-1.0",
            Version::V1_1 => "application/x-amz-json-1.1",
        })
    }
}

/// A failure as this protocol shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    pub status: StatusCode,
    /// The namespace of the shape, such as `com.amazonaws.sqs`.
    pub namespace: &'a str,
    /// The shape's name, such as `QueueDoesNotExist`.
    pub shape: &'a str,
    pub message: &'a str,
    /// The code that the service had in its query days, for services that are compatible with them.
    pub query_code: Option<&'a str>,
}

/// The target's two parts, `AmazonSQS` and `SendMessage`; `None` when the request has no such header.
pub fn target(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get("x-amz-target")?.to_str().ok()?.rsplit_once('.')
}

/// An answer of status 200.
pub fn answer(version: Version, body: &Value) -> Response {
    respond(version, StatusCode::OK, body)
}

/// An answer that tells of a failure.
pub fn failure(version: Version, failure: &Failure<'_>) -> Response {
    let kind = format!("{}#{}", failure.namespace, failure.shape);
    let body = json!({ "__type": kind, "message": failure.message });
    let mut response = respond(version, failure.status, &body);
    if let Some(code) = failure.query_code {
        let fault = if failure.status.is_server_error() { "Receiver" } else { "Sender" };
        // Exactly `code;fault`: botocore ignores any other form.
        if let Ok(value) = HeaderValue::from_str(&format!("{code};{fault}")) {
            response.headers_mut().insert("x-amzn-query-error", value);
        }
    }
    response
}

fn respond(version: Version, status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, version.content_type());
    response
}
