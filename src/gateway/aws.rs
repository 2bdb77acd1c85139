//! One port for every AWS service: which one a request is for, and who signed it.

use axum::body::{Body, Bytes};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;

use crate::api::cloudwatch::{self, CloudWatch};
use crate::api::cloudwatch_logs::CloudwatchLogs;
use crate::api::mwaa::Mwaa;
use crate::api::s3::S3;
use crate::api::sqs::Sqs;
use crate::api::wire::sigv4::{self, AuthError};
use crate::api::wire::{Caller, Request, RequestId, Response};
use crate::config::{Auth, Identity};
use crate::limits::JSON_BODY_MAX_BYTES;

use super::activity::Recorder;

/// The AWS endpoint.
#[derive(Clone, Debug)]
pub struct Aws {
    pub s3: S3,
    pub sqs: Sqs,
    pub mwaa: Mwaa,
    pub logs: CloudwatchLogs,
    pub cloudwatch: CloudWatch,
    pub identities: std::sync::Arc<[Identity]>,
    pub auth: Auth,
    pub recorder: Recorder,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Service {
    S3,
    Sqs,
    Mwaa,
    Logs,
    CloudWatch,
    /// A service that windtunnel does not serve.
    Other(String),
}

impl Aws {
    /// Answers one request of any service.
    pub async fn call(&self, request: Request) -> Response {
        let service = service_of(&request);
        let (pending, request) = self.recorder.ask(service.name(), request).await;
        let response = self.serve(service, request).await;
        self.recorder.answer(pending, response).await
    }

    /// Answers a request that came in through another door of ours, which knows who asks: nothing is signed.
    pub async fn call_for(&self, caller: Identity, service: &str, request: Request) -> Response {
        let service = Service::named(service);
        let (pending, mut request) = self.recorder.ask(service.name(), request).await;
        let id = request_id(request.extensions());
        request.extensions_mut().insert(Caller(caller));
        let response = match service {
            Service::Sqs => stamp(self.sqs.call(request).await, &id),
            Service::Mwaa => stamp(self.mwaa.call(request).await, &id),
            Service::Logs => stamp(self.logs.call(request).await, &id),
            Service::CloudWatch => stamp(self.cloudwatch.call(request).await, &id),
            // S3 reads signatures by itself; our own pages have other ways to objects.
            Service::S3 => not_served("s3"),
            Service::Other(name) => not_served(&name),
        };
        self.recorder.answer(pending, response).await
    }

    async fn serve(&self, service: Service, request: Request) -> Response {
        match service {
            // S3's own room checks signatures: only it can read a body that is signed chunk by chunk.
            Service::S3 => self.s3.call(request).await,
            Service::Sqs => {
                let id = request_id(request.extensions());
                let answer = match self.admit(request).await {
                    Ok(request) => self.sqs.call(request).await,
                    Err(refusal) => refusal,
                };
                stamp(answer, &id)
            }
            Service::Mwaa => {
                let id = request_id(request.extensions());
                let answer = match self.admit(request).await {
                    Ok(request) => self.mwaa.call(request).await,
                    Err(refusal) => refusal,
                };
                stamp(answer, &id)
            }
            Service::Logs => {
                let id = request_id(request.extensions());
                let answer = match self.admit(request).await {
                    Ok(request) => self.logs.call(request).await,
                    Err(refusal) => refusal,
                };
                stamp(answer, &id)
            }
            Service::CloudWatch => {
                let id = request_id(request.extensions());
                let answer = match self.admit(request).await {
                    Ok(request) => self.cloudwatch.call(request).await,
                    Err(refusal) => refusal,
                };
                stamp(answer, &id)
            }
            Service::Other(name) => not_served(&name),
        }
    }

    /// Reads the body, checks the signature over it, and names the caller.
    async fn admit(&self, request: Request) -> Result<Request, Response> {
        let (mut parts, body) = request.into_parts();
        let bytes = match Limited::new(body, JSON_BODY_MAX_BYTES).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the request is larger than {JSON_BODY_MAX_BYTES} bytes");
                let code = "RequestEntityTooLargeException";
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, code, &message));
            }
            Err(error) => {
                let message = format!("the request's body could not be read: {error}");
                return Err(refuse(StatusCode::BAD_REQUEST, "IncompleteBody", &message));
            }
        };
        let caller = self
            .caller(&parts, &bytes)
            .map_err(|error| refuse(StatusCode::FORBIDDEN, error.code, &error.message))?;
        parts.extensions.insert(Caller(caller));
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    fn caller(&self, parts: &Parts, body: &Bytes) -> Result<Identity, AuthError> {
        let secret = |key: &str| self.identity(key).map(|known| known.secret_access_key.clone());
        let verified = sigv4::verify(parts, Some(body), secret)?;
        match (self.identity(&verified.access_key_id), self.auth) {
            (Some(known), _) => Ok(known.clone()),
            // Divergence(lenient-keys): people's shells have the keys of real profiles.
            (None, Auth::Lenient) => {
                Ok(self.identities.first().cloned().expect("there is always an identity"))
            }
            (None, Auth::Strict) => Err(AuthError::unrecognized()),
        }
    }

    fn identity(&self, access_key_id: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.access_key_id == access_key_id)
    }
}

impl Service {
    fn named(name: &str) -> Service {
        match name {
            "s3" => Service::S3,
            "sqs" => Service::Sqs,
            "airflow" => Service::Mwaa,
            "logs" => Service::Logs,
            "monitoring" => Service::CloudWatch,
            other => Service::Other(other.to_owned()),
        }
    }

    /// As credential scopes have it.
    fn name(&self) -> &str {
        match self {
            Service::S3 => "s3",
            Service::Sqs => "sqs",
            Service::Mwaa => "airflow",
            Service::Logs => "logs",
            Service::CloudWatch => "monitoring",
            Service::Other(name) => name,
        }
    }
}

fn not_served(name: &str) -> Response {
    let message = format!(
        "windtunnel does not serve `{name}`; point AWS_ENDPOINT_URL_<SERVICE> at one that does"
    );
    refuse(StatusCode::NOT_FOUND, "UnknownOperationException", &message)
}

/// The order matters: a target or a credential scope says it outright, a host prefix or a form says it by custom,
/// and S3 is what has no marks of its own.
fn service_of(request: &Request) -> Service {
    service(request.headers(), request.uri())
}

/// Whether a request is one for S3.
pub(super) fn is_for_s3(parts: &Parts) -> bool {
    service(&parts.headers, &parts.uri) == Service::S3
}

fn service(headers: &HeaderMap, uri: &http::Uri) -> Service {
    if let Some(target) = text(headers, "x-amz-target") {
        return match target.split('.').next().unwrap_or_default() {
            "AmazonSQS" => Service::Sqs,
            "Logs_20140328" => Service::Logs,
            cloudwatch::TARGET => Service::CloudWatch,
            other => Service::Other(other.to_owned()),
        };
    }
    if let Some(scope) = credential_scope(headers, uri) {
        return match scope.as_str() {
            "s3" => Service::S3,
            "sqs" => Service::Sqs,
            "airflow" => Service::Mwaa,
            "logs" => Service::Logs,
            "monitoring" => Service::CloudWatch,
            _ => Service::Other(scope),
        };
    }
    let host = text(headers, "host").unwrap_or_default();
    if ["api.", "env.", "ops."].iter().any(|prefix| host.starts_with(prefix)) {
        return Service::Mwaa;
    }
    let query = uri.query().unwrap_or_default();
    let is_form = text(headers, "content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form || query.split('&').any(|pair| pair.starts_with("Action=")) {
        return Service::Sqs;
    }
    Service::S3
}

/// `…/sqs/aws4_request`: the last part but one, from the header or a presigned query.
fn credential_scope(headers: &HeaderMap, uri: &http::Uri) -> Option<String> {
    let from_header = text(headers, "authorization")
        .and_then(|header| header.split("Credential=").nth(1))
        .and_then(|rest| rest.split([',', ' ']).next())
        .map(str::to_owned);
    let from_query = || {
        let query = uri.query()?;
        let pair = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
        Some(percent_encoding::percent_decode_str(pair).decode_utf8_lossy().into_owned())
    };
    let credential = from_header.or_else(from_query)?;
    credential.rsplit('/').nth(1).map(str::to_owned)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn request_id(extensions: &http::Extensions) -> String {
    extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "__type": code, "message": message, "Message": message }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(code) = HeaderValue::from_str(code) {
        headers.insert("x-amzn-errortype", code);
    }
    response
}

fn stamp(mut response: Response, id: &str) -> Response {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Service {
        service_of(&build(http::Request::builder()).body(Body::empty()).unwrap())
    }

    fn signed(scope: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/{scope}/aws4_request, SignedHeaders=host, Signature=00"
        )
    }

    #[test]
    fn the_credential_scope_tells_the_service() {
        let cases = [
            ("s3", Service::S3),
            ("sqs", Service::Sqs),
            ("airflow", Service::Mwaa),
            ("logs", Service::Logs),
            ("monitoring", Service::CloudWatch),
        ];
        for (scope, expected) in cases {
            assert_eq!(service(|r| r.uri("/x").header("authorization", signed(scope))), expected);
        }
        let other = service(|r| r.uri("/").header("authorization", signed("glue")));
        assert_eq!(other, Service::Other("glue".to_owned()));
    }

    #[test]
    fn a_presigned_query_tells_the_service_too() {
        let uri = "/b/k?X-Amz-Credential=AK%2F20261122%2Fus-east-1%2Fs3%2Faws4_request";
        assert_eq!(service(|r| r.uri(uri)), Service::S3);
    }

    #[test]
    fn without_a_signature_the_target_the_host_prefix_or_the_form_tells_it() {
        assert_eq!(service(|r| r.header("x-amz-target", "AmazonSQS.SendMessage")), Service::Sqs);
        assert_eq!(
            service(|r| r.uri("/environments").header("host", "api.localhost")),
            Service::Mwaa
        );
        assert_eq!(service(|r| r.uri("/?Action=ListQueues&Version=2012-11-05")), Service::Sqs);
        assert_eq!(service(|r| r.uri("/bucket/key")), Service::S3);
    }
}
