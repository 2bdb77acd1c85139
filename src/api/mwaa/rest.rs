//! `InvokeRestApi`: a call of Airflow's REST API, made by the service as the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, StatusCode, Uri};
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};
use serde_json::{Map, Value, json};

use super::failure::Refusal;
use super::request::RestCall;
use crate::api::wire::{Request, Response};
use crate::id::EnvironmentName;
use crate::limits::{REST_CALL_MAX_SECONDS, REST_RESPONSE_MAX_BYTES};
use crate::tokens::Grant;

/// The way to an environment's Airflow, past its front door: who asks is told, and is believed.
#[derive(Clone)]
pub struct Airflow(pub Arc<dyn Ask>);

/// Puts a request to an environment's Airflow as somebody.
pub trait Ask: Send + Sync {
    fn ask(
        &self,
        environment: EnvironmentName,
        grant: Grant,
        request: Request,
    ) -> BoxFuture<'static, Response>;
}

impl fmt::Debug for Airflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Airflow")
    }
}

/// What must not stand in a path as it is. A percent sign stays: who encodes knows why.
const NOT_IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#').add(b'`').add(b'{').add(b'}');

/// What Airflow answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Makes the call below the REST API's version, `v1` or `v2`.
pub(super) async fn call(
    airflow: &Airflow,
    to: (EnvironmentName, &'static str),
    grant: Grant,
    call: RestCall,
) -> Result<Answer, Refusal> {
    let (environment, version) = to;
    let request = request(version, call)?;
    let deadline = Duration::from_secs(REST_CALL_MAX_SECONDS);
    let asked = async {
        let response = airflow.0.ask(environment, grant, request).await;
        let (parts, body) = response.into_parts();
        (parts.status, to_bytes(body, REST_RESPONSE_MAX_BYTES).await)
    };
    let (status, bytes) = match tokio::time::timeout(deadline, asked).await {
        Ok((status, Ok(bytes))) => (status, bytes),
        Ok((_, Err(_))) => {
            let why = format!("Airflow's answer is longer than {REST_RESPONSE_MAX_BYTES} bytes");
            return Ok(failed(StatusCode::BAD_GATEWAY, &why));
        }
        Err(_) => {
            let why = format!("Airflow did not answer within {REST_CALL_MAX_SECONDS} seconds");
            return Ok(failed(StatusCode::GATEWAY_TIMEOUT, &why));
        }
    };
    let body = match bytes.as_ref() {
        // A 204 has no body, and the member is an object in every SDK.
        b"" => json!({}),
        bytes => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into()),
    };
    Ok(Answer { status, body })
}

/// What Airflow would say, had it got to say it.
fn failed(status: StatusCode, why: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "detail": why, "status": status.as_u16(), "title": title });
    Answer { status, body }
}

fn request(version: &str, call: RestCall) -> Result<Request, Refusal> {
    let RestCall { path, method, query, body } = call;
    if !stays_below(&path) {
        return Err(Refusal::NotAPath(path));
    }
    let mut target = format!("/api/{version}{}", utf8_percent_encode(&path, NOT_IN_PATH));
    let query = encoded(&query);
    if !query.is_empty() {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&query);
    }
    let uri: Uri = target.parse().map_err(|_| Refusal::NotAPath(path))?;
    let has_body = body.is_some();
    let body = body.map_or_else(Body::empty, |body| Body::from(Value::Object(body).to_string()));
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(request)
}

/// Whether the path keeps to the REST API: no segment that leads upwards, as Airflow's server reads it, or is empty.
fn stays_below(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let read = percent_decode_str(path).decode_utf8_lossy();
    !path.contains("//") && read.split('/').all(|segment| !matches!(segment, "." | ".."))
}

/// A list repeats its key; what is no text is written as JSON writes it, so that `false` is `false`.
fn encoded(query: &Map<String, Value>) -> String {
    let mut pairs = Vec::new();
    for (key, value) in query {
        let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for value in values.iter().filter(|value| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            pairs.push(format!("{}={}", encode(key), encode(&text)));
        }
    }
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    /// Answers with what it was asked.
    struct Echo(StatusCode);

    impl Ask for Echo {
        fn ask(
            &self,
            to: EnvironmentName,
            by: Grant,
            request: Request,
        ) -> BoxFuture<'static, Response> {
            let status = self.0;
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1000).await.unwrap();
                let body = String::from_utf8(body.to_vec()).unwrap();
                let said = json!([
                    to,
                    by.user,
                    by.role,
                    parts.method.as_str(),
                    parts.uri.to_string(),
                    parts.headers.contains_key(CONTENT_TYPE),
                    body
                ]);
                let mut response = Response::new(Body::from(said.to_string()));
                *response.status_mut() = status;
                response
            })
        }
    }

    async fn asked(path: &str, query: Value, body: Option<Value>) -> Answer {
        tried(path, query, body).await.unwrap()
    }

    async fn tried(path: &str, query: Value, body: Option<Value>) -> Result<Answer, Refusal> {
        let object = |value: Value| value.as_object().unwrap().clone();
        let wanted = RestCall {
            path: path.to_owned(),
            method: Method::POST,
            query: object(query),
            body: body.map(object),
        };
        let airflow = Airflow(Arc::new(Echo(StatusCode::CREATED)));
        let grant = Grant { user: "user/alice".to_owned(), role: Some("Op".to_owned()) };
        let name = EnvironmentName::parse("dev").unwrap();
        call(&airflow, (name, "v1"), grant, wanted).await
    }

    #[tokio::test]
    async fn airflow_is_asked_below_its_version_as_the_caller() {
        let query = json!({"limit": 5, "paused": false, "tags": ["a", "b c"], "none": null});
        let answer = asked("/dags/my dag", query, Some(json!({"conf": {}}))).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let uri = "/api/v1/dags/my%20dag?limit=5&paused=false&tags=a&tags=b%20c";
        let expected = json!(["dev", "user/alice", "Op", "POST", uri, true, "{\"conf\":{}}"]);
        assert_eq!(answer.body, expected);
        let answer = asked("/dags?limit=1", json!({"offset": 2}), None).await;
        assert_eq!(answer.body[4], "/api/v1/dags?limit=1&offset=2");
        assert_eq!((&answer.body[5], &answer.body[6]), (&json!(false), &json!("")));
    }

    #[tokio::test]
    async fn a_path_that_leads_out_of_the_rest_api_is_none() {
        for path in ["/../../home", "/dags/%2e%2E/x", "/dags%2F..", "/dags/./x", "/dags//x", "/.."]
        {
            let refusal = tried(path, json!({}), None).await.unwrap_err().into_failure();
            assert_eq!(refusal.code, "ValidationException", "{path}");
        }
        for path in ["/dags/a..b/dagRuns", "/dags/", "/variables/a%2Fb", "/dags?x=//../y"] {
            assert_eq!(asked(path, json!({}), None).await.status, StatusCode::CREATED, "{path}");
        }
    }
}
