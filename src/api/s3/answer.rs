//! What every answer has: ids, the server's name, and in an error the resource it is about.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use s3s::S3Error;
use time::macros::format_description;

use super::xml::escape;
use crate::api::wire::{Request, RequestId, Response};
use crate::clock::Timestamp;
use crate::id::random_text;

/// A moment as HTTP headers write it: whole seconds, in GMT.
pub(super) fn http_date(at: Timestamp) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.to_utc().format(&format).unwrap_or_default()
}

/// The answer that an error is.
pub(super) fn of_error(error: S3Error) -> http::Response<s3s::Body> {
    error.to_http_response().unwrap_or_else(|error| {
        tracing::error!(%error, "an error could not be written as XML");
        let mut response = http::Response::new(s3s::Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// What is known of an answer before it is there.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    request_id: String,
    /// Also in errors, as S3's second id.
    host_id: String,
    head: bool,
    path: String,
    range: Option<String>,
    /// The request brought a body, which nobody may have read.
    body: bool,
}

impl Frame {
    pub(super) fn of(id: Option<RequestId>, request: &Request) -> Frame {
        let request_id = match id {
            Some(RequestId(id)) => id,
            None => random_text(16).to_ascii_uppercase(),
        };
        let host_id = STANDARD.encode(random_text(48));
        let text = |name: header::HeaderName| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let length = text(header::CONTENT_LENGTH);
        Frame {
            request_id,
            host_id,
            head: request.method() == Method::HEAD,
            path: request.uri().path().to_owned(),
            range: text(header::RANGE),
            body: length.is_some_and(|length| length != "0")
                || request.headers().contains_key(header::TRANSFER_ENCODING),
        }
    }

    /// Completes an answer.
    pub(super) async fn close(self, answer: http::Response<s3s::Body>) -> Response {
        let (mut head, body) = answer.into_parts();
        // AWS: an answer to HEAD, and "not modified", have no body whatever happened.
        let bare = self.head || head.status == StatusCode::NOT_MODIFIED;
        let failed = head.status.is_client_error() || head.status.is_server_error();
        let body = if bare {
            Body::empty()
        } else if failed {
            self.completed(&head.headers, body).await
        } else {
            super::body(body)
        };
        if failed || head.status == StatusCode::NOT_MODIFIED {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        if failed && self.body {
            // A client that has not sent its body yet, or not all of it, must not go on with this connection.
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in [
            ("x-amz-request-id", self.request_id.as_str()),
            ("x-amz-id-2", self.host_id.as_str()),
            ("server", "AmazonS3"),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                head.headers.insert(name, value);
            }
        }
        Response::from_parts(head, body)
    }

    /// The error document, with what `s3s` leaves out of it.
    async fn completed(&self, headers: &HeaderMap, mut body: s3s::Body) -> Body {
        const END: &str = "</Error>";
        const MAX_BYTES: usize = 64 * 1024;
        let bytes = body.store_all_limited(MAX_BYTES).await.unwrap_or_default();
        let Some(text) = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix(END))
        else {
            return Body::from(bytes);
        };
        let mut text = text.to_owned();
        let size = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let size = size.and_then(|range| range.strip_prefix("bytes */"));
        let range = size.and(self.range.as_deref());
        for (name, value) in [
            ("RangeRequested", range),
            ("ActualObjectSize", size),
            ("Resource", Some(self.path.as_str())),
            ("RequestId", Some(self.request_id.as_str())),
            ("HostId", Some(self.host_id.as_str())),
        ] {
            let Some(value) = value else { continue };
            text.extend(["<", name, ">"]);
            escape(&mut text, value);
            text.extend(["</", name, ">"]);
        }
        text.push_str(END);
        Body::from(text)
    }
}
