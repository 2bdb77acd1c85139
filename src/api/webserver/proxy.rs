//! The way to Airflow's own web server.
//!
//! Promise: identity headers reach Airflow from us alone, with the launch's secret. A WSGI server takes `X-A_B` and
//! `X-A-B` for the same, so both spellings are removed.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, EXPECT, FORWARDED, HOST, HeaderName, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::cookie;
use super::failure::Refusal;
use crate::api::wire::{Connection, Request, Response};
use crate::limits::UPSTREAM_CONNECT_SECONDS;
use crate::tokens::Grant;

/// Headers about one connection and not about the message (RFC 9110, 7.6.1), and the ones of old that act so.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    http::header::PROXY_AUTHENTICATE,
    http::header::PROXY_AUTHORIZATION,
    http::header::TE,
    http::header::TRAILER,
    http::header::TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Begins every header that only we may send to Airflow.
const OURS: &str = "x-windtunnel-";
const USER: HeaderName = HeaderName::from_static("x-windtunnel-user");
const ROLE: HeaderName = HeaderName::from_static("x-windtunnel-role");
const SECRET: HeaderName = HeaderName::from_static("x-windtunnel-secret");

/// Connections to Airflow's web server, kept and used again.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    client: Client<HttpConnector, Body>,
}

/// Whom Airflow is to take the request for, and the proof that we say so.
pub(super) struct Identity {
    pub(super) grant: Grant,
    pub(super) secret: String,
}

impl Proxy {
    pub(super) fn new() -> Proxy {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(UPSTREAM_CONNECT_SECONDS)));
        Proxy { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Passes a request on and its answer back. Neither body is held.
    pub(super) async fn forward(
        &self,
        upstream: SocketAddr,
        identity: Option<&Identity>,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let host = host(&request);
        let from = request.extensions().get::<Connection>().copied();
        let headers = request.headers_mut();
        clean(headers);
        forwarded(headers, &host, from);
        if let Some(identity) = identity {
            identify(headers, identity)?;
        }
        *request.uri_mut() = uri(upstream, request.uri().path_and_query());
        *request.version_mut() = Version::HTTP_11;
        match self.client.request(request).await {
            Ok(response) => {
                let mut response = response.map(Body::new);
                remove_hop_by_hop(response.headers_mut());
                Ok(response)
            }
            Err(error) => {
                tracing::warn!(%upstream, ?error, "Airflow's web server did not answer");
                Err(Refusal::Upstream)
            }
        }
    }
}

/// The host that the client asked for, with its port: from the address in HTTP/2, from the header in HTTP/1.
pub(super) fn host(request: &Request) -> String {
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(Authority::as_str).or_else(header);
    host.unwrap_or("localhost").to_owned()
}

/// Removes what is ours to say, or nobody's.
fn clean(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str().replace('_', "-");
            name.starts_with(OURS) || name.starts_with("x-forwarded-")
        })
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
    headers.remove(FORWARDED);
    // The body is awaited by us, so the client has had its `100 Continue`.
    headers.remove(EXPECT);
    cookie::remove(headers);
}

/// Says how the client reached us, so that Airflow's links and redirects lead back here.
fn forwarded(headers: &mut HeaderMap, host: &str, from: Option<Connection>) {
    let tls = from.is_some_and(|from| from.tls);
    let port = host.parse::<Authority>().ok().and_then(|host| host.port_u16());
    let port = port.unwrap_or(if tls { 443 } else { 80 });
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("host", host);
    set("x-forwarded-host", host);
    set("x-forwarded-port", &port.to_string());
    set("x-forwarded-proto", if tls { "https" } else { "http" });
    if let Some(from) = from {
        set("x-forwarded-for", &from.peer.ip().to_string());
    }
}

fn identify(headers: &mut HeaderMap, identity: &Identity) -> Result<(), Refusal> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Refusal::Identity);
    let Identity { grant, secret } = identity;
    let mut secret = value(secret)?;
    secret.set_sensitive(true);
    headers.insert(USER, value(&grant.user)?);
    headers.insert(ROLE, value(grant.role.as_deref().unwrap_or("Public"))?);
    headers.insert(SECRET, secret);
    Ok(())
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn uri(upstream: SocketAddr, path: Option<&PathAndQuery>) -> Uri {
    let authority = upstream.to_string();
    let path = path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .expect("an address and a path make a URI")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::body::to_bytes;
    use bytes::Bytes;
    use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
    use http::StatusCode;
    use http::header::SET_COOKIE;

    use super::*;

    type Seen = Arc<Mutex<Option<http::request::Parts>>>;

    /// A real web server that keeps the head of what it was asked and sends the body back as it comes.
    async fn echo() -> (SocketAddr, Seen, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let keep = Arc::clone(&seen);
        let app = axum::Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            *keep.lock().unwrap() = Some(parts);
            let head =
                [("connection", "x-hop"), ("x-hop", "1"), ("set-cookie", "airflow_session=a")];
            (StatusCode::CREATED, head, body)
        });
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (address, seen, server)
    }

    fn connection() -> Connection {
        Connection {
            peer: "127.0.0.9:50000".parse().unwrap(),
            local: "127.0.0.1:8080".parse().unwrap(),
            tls: true,
        }
    }

    fn alice() -> Identity {
        let grant = Grant { user: "user/alice".to_owned(), role: Some("Op".to_owned()) };
        Identity { grant, secret: "s3cret".to_owned() }
    }

    #[tokio::test]
    async fn airflow_hears_who_it_is_from_us_alone() {
        let (address, seen, _server) = echo().await;
        let request = http::Request::builder()
            .method("POST")
            .uri("/api/v1/dags?limit=1&x=%2F")
            .header(HOST, "localhost:8080")
            .header("X-Windtunnel-User", "user/mallory")
            .header("X_Windtunnel_Role", "Admin")
            .header("x-windtunnel_secret", "guess")
            .header("X-Forwarded-Host", "evil")
            .header("X_Forwarded_Prefix", "/evil")
            .header("Forwarded", "host=evil")
            .header("Connection", "keep-alive, X-Drop")
            .header("X-Drop", "1")
            .header("Cookie", "session=ours; airflow_session=theirs")
            .header("X-Kept", "yes")
            .extension(connection())
            .body(Body::from("body"))
            .unwrap();
        let response = Proxy::new().forward(address, Some(&alice()), request).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert!(!response.headers().contains_key("x-hop"));
        assert_eq!(response.headers()[SET_COOKIE], "airflow_session=a");
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), "body");
        let parts = seen.lock().unwrap().take().unwrap();
        assert_eq!(parts.uri, "/api/v1/dags?limit=1&x=%2F");
        let mut headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        insta::assert_snapshot!(headers.join("\n"), @r"
        content-length: 4
        cookie: airflow_session=theirs
        host: localhost:8080
        x-forwarded-for: 127.0.0.9
        x-forwarded-host: localhost:8080
        x-forwarded-port: 8080
        x-forwarded-proto: https
        x-kept: yes
        x-windtunnel-role: Op
        x-windtunnel-secret: s3cret
        x-windtunnel-user: user/alice
        ");
    }

    #[tokio::test]
    async fn a_request_without_a_session_carries_no_identity() {
        let (address, seen, _server) = echo().await;
        let request = http::Request::builder()
            .uri("/api/v1/dags")
            .header("X-Windtunnel-User", "user/mallory")
            .body(Body::empty())
            .unwrap();
        Proxy::new().forward(address, None, request).await.unwrap();
        let parts = seen.lock().unwrap().take().unwrap();
        assert!(parts.headers.keys().all(|name| !name.as_str().starts_with(OURS)));
    }

    #[tokio::test]
    async fn bodies_stream_both_ways() {
        let (address, _seen, _server) = echo().await;
        let (mut send, chunks) = mpsc::channel::<Result<Bytes, Infallible>>(1);
        let request = http::Request::builder()
            .method("POST")
            .uri("/")
            .body(Body::from_stream(chunks))
            .unwrap();
        let response = Proxy::new().forward(address, None, request).await.unwrap();
        let mut answer = response.into_body().into_data_stream();
        for chunk in ["one", "two"] {
            send.send(Ok(Bytes::from(chunk))).await.unwrap();
            // The request has not ended, and yet its beginning has come back.
            assert_eq!(answer.next().await.unwrap().unwrap(), chunk);
        }
        drop(send);
        assert!(answer.next().await.is_none());
    }

    #[tokio::test]
    async fn an_airflow_that_is_gone_is_a_bad_gateway() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request::new(Body::empty());
        let refusal = Proxy::new().forward(address, None, request).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::BAD_GATEWAY);
    }
}
