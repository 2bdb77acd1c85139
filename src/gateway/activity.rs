//! Keeps a record of every call of the AWS endpoint, with secrets taken out.
//!
//! Objects' bytes are never looked at: a body is kept only when its length is known, small, and it is the protocol's
//! own text.

use std::time::Instant;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::activity::{Activity, Call};
use crate::api::wire::{Request, RequestId, Response};
use crate::clock::Clock;
use crate::limits::ACTIVITY_BODY_MAX_BYTES;

/// Where calls are recorded, and by which clock.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub activity: Activity,
    pub clock: Clock,
}

/// A call whose answer is still to come.
pub(super) struct Pending {
    call: Call,
    began: Instant,
}

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

impl Recorder {
    /// Takes down what is asked. A small body is read here and handed on whole.
    pub(super) async fn ask(&self, service: &str, request: Request) -> (Pending, Request) {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let text = |name: &str| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut call = Call {
            service: service.to_owned(),
            method: parts.method.to_string(),
            path: path(&parts.uri),
            agent: text("user-agent"),
            access_key_id: access_key(&text("authorization"), parts.uri.query()),
            request_id: parts
                .extensions
                .get::<RequestId>()
                .map(|id| id.0.clone())
                .unwrap_or_default(),
            request_headers: headers(&parts.headers),
            ..Call::default()
        };
        let (kept, body) =
            if is_text(&call, &parts.headers) { small(body).await } else { (None, body) };
        call.operation = operation(&text("x-amz-target"), kept.as_deref(), &call);
        call.request_body = kept.map(|text| without_secrets(service, &text));
        (Pending { call, began }, Request::from_parts(parts, body))
    }

    /// Takes down the answer.
    pub(super) async fn answer(&self, pending: Pending, response: Response) -> Response {
        let Pending { mut call, began } = pending;
        let (parts, body) = response.into_parts();
        call.status = parts.status.as_u16();
        call.response_headers = headers(&parts.headers);
        let (kept, body) =
            if is_text(&call, &parts.headers) { small(body).await } else { (None, body) };
        call.response_body = kept.map(|text| without_secrets(&call.service, &text));
        call.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.activity.record(call, self.clock.now());
        Response::from_parts(parts, body)
    }
}

/// Whether a body of this kind is the protocol's own words. In S3 only XML is, and not where it is somebody's object.
fn is_text(call: &Call, headers: &HeaderMap) -> bool {
    if call.service != "s3" {
        return true;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/xml"))
        && (call.status >= 400 || !moves_bytes(&call.path))
}

/// Whether a call of S3 may carry an object's bytes: one that names a key and nothing of the object but itself. A
/// bucket can stand in the host, so any path may name a key.
fn moves_bytes(path: &str) -> bool {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let names: Vec<&str> =
        query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    let has = |wanted: &[&str]| wanted.iter().any(|name| names.contains(name));
    let of_itself = ["tagging", "acl", "uploads", "uploadId", "delete", "versions", "versioning"];
    let of_bucket = ["list-type", "location", "policy", "cors", "lifecycle", "notification"];
    has(&["partNumber"]) || !(path == "/" || has(&of_itself) || has(&of_bucket))
}

/// The text of a body whose length is known and small, and the body again.
async fn small(body: Body) -> (Option<String>, Body) {
    let known = body.size_hint().exact().is_some_and(|size| size <= ACTIVITY_BODY_MAX_BYTES);
    if !known {
        return (None, body);
    }
    match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            (String::from_utf8(bytes.to_vec()).ok(), Body::from(bytes))
        }
        // The client broke off: the service hears of an end that came too soon, as it would have.
        Err(error) => {
            (None, Body::from_stream(futures::stream::iter([Err::<bytes::Bytes, _>(error)])))
        }
    }
}

/// Path and query, without the signature of a presigned request.
fn path(uri: &http::Uri) -> String {
    match uri.query() {
        Some(query) => format!("{}?{}", uri.path(), without_secret_pairs(query)),
        None => uri.path().to_owned(),
    }
}

/// A query or a form, with what opens doors blanked.
fn without_secret_pairs(form: &str) -> String {
    let secret = ["X-Amz-Signature", "X-Amz-Security-Token", "Signature"];
    let pairs = form.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if secret.contains(&name) || name.ends_with("MessageBody") => {
            format!("{name}={HIDDEN}")
        }
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn access_key(authorization: &str, query: Option<&str>) -> String {
    let header = authorization.split("Credential=").nth(1);
    let presigned = || query?.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="));
    let credential = header.or_else(presigned).unwrap_or_default();
    credential.split(['/', '%', ',', ' ']).next().unwrap_or_default().to_owned()
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let told = headers.iter().map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = match name.as_str() {
            "authorization" => text.split("Signature=").next().map_or_else(String::new, |rest| {
                if rest.len() < text.len() {
                    format!("{rest}Signature={HIDDEN}")
                } else {
                    HIDDEN.to_owned()
                }
            }),
            "x-amz-security-token" | "x-windtunnel-token" | "cookie" | "set-cookie" => {
                HIDDEN.to_owned()
            }
            name if name.contains("customer-key") => HIDDEN.to_owned(),
            _ => text.into_owned(),
        };
        (name.to_string(), text)
    });
    told.collect()
}

/// The operation's name: said in a target or a form, known from the path in MWAA's API, or how S3 would be asked.
fn operation(target: &str, body: Option<&str>, call: &Call) -> String {
    if let Some((_, name)) = target.split_once('.') {
        return name.to_owned();
    }
    let query = call.path.split_once('?').map(|(_, query)| query);
    let action = [query, body].into_iter().flatten().find_map(|form| {
        form.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
    });
    if let Some(action) = action.filter(|_| call.service != "s3") {
        return action;
    }
    let path = call.path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = match (call.service.as_str(), call.method.as_str(), segments.as_slice()) {
        ("airflow", "GET", ["environments"]) => "ListEnvironments",
        ("airflow", "GET", ["environments", _]) => "GetEnvironment",
        ("airflow", "PUT", ["environments", _]) => "CreateEnvironment",
        ("airflow", "PATCH", ["environments", _]) => "UpdateEnvironment",
        ("airflow", "DELETE", ["environments", _]) => "DeleteEnvironment",
        ("airflow", "POST", ["clitoken", _]) => "CreateCliToken",
        ("airflow", "POST", ["webtoken", _]) => "CreateWebLoginToken",
        ("airflow", "POST", ["restapi", _]) => "InvokeRestApi",
        ("airflow", "POST", ["metrics", ..]) => "PublishMetrics",
        ("airflow", "GET", ["tags", ..]) => "ListTagsForResource",
        ("airflow", "POST", ["tags", ..]) => "TagResource",
        ("airflow", "DELETE", ["tags", ..]) => "UntagResource",
        ("s3", method, segments) => s3_operation(method, segments.len(), query.unwrap_or_default()),
        _ => return format!("{} {path}", call.method),
    };
    name.to_owned()
}

fn s3_operation(method: &str, depth: usize, query: &str) -> &'static str {
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match (method, depth) {
        ("GET", 0) => "ListBuckets",
        ("GET", 1) if has("versions") => "ListObjectVersions",
        ("GET", 1) if has("location") => "GetBucketLocation",
        ("GET", 1) if has("versioning") => "GetBucketVersioning",
        ("GET", 1) if has("uploads") => "ListMultipartUploads",
        ("GET", 1) => "ListObjects",
        ("PUT", 1) if query.is_empty() => "CreateBucket",
        ("DELETE", 1) if query.is_empty() => "DeleteBucket",
        ("HEAD", 1) => "HeadBucket",
        ("POST", 1) if has("delete") => "DeleteObjects",
        ("GET", 2..) if has("tagging") => "GetObjectTagging",
        ("GET", 2..) => "GetObject",
        ("HEAD", 2..) => "HeadObject",
        ("PUT", 2..) if has("partNumber") => "UploadPart",
        ("PUT", 2..) if has("tagging") => "PutObjectTagging",
        ("PUT", 2..) => "PutObject",
        ("POST", 2..) if has("uploads") => "CreateMultipartUpload",
        ("POST", 2..) if has("uploadId") => "CompleteMultipartUpload",
        ("DELETE", 2..) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", 2..) => "DeleteObject",
        ("PUT", _) => "PutBucketConfiguration",
        ("OPTIONS", _) => "Preflight",
        _ => "Other",
    }
}

/// JSON with what opens doors blanked, and messages of queues; other text as it is.
fn without_secrets(service: &str, text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            blank(&mut value);
            value.to_string()
        }
        Err(_) if service == "sqs" && text.starts_with('<') => without_messages(text),
        Err(_) if service == "sqs" => without_secret_pairs(text),
        Err(_) => text.to_owned(),
    }
}

/// The XML of SQS' older protocol without its messages.
fn without_messages(xml: &str) -> String {
    let mut parts = xml.split("<Body>");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once("</Body>").map_or("", |(_, rest)| rest);
        told.extend(["<Body>", HIDDEN, "</Body>", rest]);
    }
    told
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if is_secret(name) && !value.is_null() {
                    *value = Value::from(HIDDEN);
                } else if name == "AirflowConfigurationOptions"
                    && let Value::Object(options) = value
                {
                    // The model calls every value sensitive, whatever the option is.
                    options.values_mut().for_each(|value| *value = Value::from(HIDDEN));
                } else {
                    blank(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Tokens for the next page open nothing. What Airflow's REST API is sent and says can be a variable or a connection, and
/// a queue's message holds the token of the task it is about; `CloudTrail` hides the former, too.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if ["body", "messagebody", "restapiresponse"].contains(&name.as_str()) {
        return true;
    }
    let opens = ["password", "secret", "token", "fernet", "_conn", "broker_url", "access_key"];
    let turns_pages = [
        "nexttoken",
        "nextforwardtoken",
        "nextbackwardtoken",
        "sequencetoken",
        "clientrequesttoken",
    ];
    opens.iter().any(|word| name.contains(word))
        && !turns_pages.iter().any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_doors_is_blanked() {
        let told = without_secrets(
            "airflow",
            r#"{"CliToken":"ey","WebServerHostname":"localhost","NextToken":"2","AirflowConfigurationOptions":{"sentry.sentry_dsn":"x","core.parallelism":"4"}}"#,
        );
        insta::assert_snapshot!(told, @r#"{"AirflowConfigurationOptions":{"core.parallelism":"(hidden)","sentry.sentry_dsn":"(hidden)"},"CliToken":"(hidden)","NextToken":"2","WebServerHostname":"localhost"}"#);
        assert_eq!(without_secrets("airflow", "not JSON"), "not JSON");
    }

    #[test]
    fn what_airflow_and_queues_are_told_is_blanked() {
        for (service, text) in [
            ("airflow", r#"{"Path":"/variables","Body":{"key":"k","value":"hush"}}"#),
            (
                "airflow",
                r#"{"RestApiResponse":{"variables":[{"value":"hush"}]},"RestApiStatusCode":200}"#,
            ),
            ("sqs", r#"{"QueueUrl":"u","MessageBody":"hush"}"#),
            ("sqs", r#"{"Entries":[{"Id":"1","MessageBody":"hush"}]}"#),
            ("sqs", r#"{"Messages":[{"MessageId":"1","Body":"hush"}]}"#),
            ("sqs", "Action=SendMessage&MessageBody=hush&DelaySeconds=1"),
            (
                "sqs",
                "<R><Message><Body>hush</Body><Id>1</Id></Message><Message><Body>hush</Body></Message></R>",
            ),
        ] {
            let told = without_secrets(service, text);
            assert!(!told.contains("hush") && told.contains(HIDDEN), "{told}");
        }
        let told = without_secrets("sqs", "<Body>hush</Body><Id>1</Id>");
        assert_eq!(told, "<Body>(hidden)</Body><Id>1</Id>");
        assert_eq!(path(&"/?MessageBody=hush&A=1".parse().unwrap()), "/?MessageBody=(hidden)&A=1");
    }

    #[test]
    fn an_object_of_xml_is_not_looked_at() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/xml".parse().unwrap());
        let kept = |path: &str, status| {
            let (service, path) = ("s3".to_owned(), path.to_owned());
            is_text(&Call { service, path, status, ..Call::default() }, &headers)
        };
        for object in ["/bucket/a.xml", "/a.xml?versionId=1", "/b/k?partNumber=1&uploadId=2"] {
            assert!(!kept(object, 0) && !kept(object, 200), "{object}");
        }
        assert!(kept("/bucket/a.xml", 404));
        for own in ["/", "/bucket?list-type=2", "/bucket/k?tagging", "/bucket?delete"] {
            assert!(kept(own, 200), "{own}");
        }
    }

    #[test]
    fn a_signature_is_not_kept() {
        let uri = "/b/k?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=abc".parse().unwrap();
        assert_eq!(path(&uri), "/b/k?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=(hidden)");
        assert_eq!(access_key("", uri.query()), "AKIA");
        let mut given = HeaderMap::new();
        let signed = "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=abc";
        given.insert("authorization", signed.parse().unwrap());
        given.insert("x-amz-security-token", "abc".parse().unwrap());
        given.insert("x-windtunnel-token", "abc".parse().unwrap());
        assert!(headers(&given).iter().all(|(_, value)| !value.contains("abc")));
        assert_eq!(access_key(signed, None), "AKIA");
    }

    #[test]
    fn calls_have_the_names_that_people_know() {
        let named = |service: &str, method: &str, path: &str| {
            let (service, method, path) = (service.to_owned(), method.to_owned(), path.to_owned());
            operation("", None, &Call { service, method, path, ..Call::default() })
        };
        assert_eq!(named("airflow", "POST", "/clitoken/dev"), "CreateCliToken");
        assert_eq!(named("s3", "GET", "/bucket?list-type=2"), "ListObjects");
        assert_eq!(named("s3", "PUT", "/bucket/a/b.py"), "PutObject");
        assert_eq!(named("sqs", "GET", "/?Action=ListQueues"), "ListQueues");
        assert_eq!(operation("AmazonSQS.SendMessage", None, &Call::default()), "SendMessage");
    }
}
