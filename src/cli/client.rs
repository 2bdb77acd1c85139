//! Talks to the console API of the project's running windtunnel.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::failure::{Failure, NO, causes};
use crate::daemon::{self, Instance};

/// A quick question must be answered in this time, or nobody is there.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Speaks with one running windtunnel.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) instance: Instance,
    http: Http<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// For the windtunnel that this file of its tells of, whether it still runs or not.
    pub(super) fn new(instance: Instance) -> Client {
        Client { instance, http: Http::builder(TokioExecutor::new()).build_http() }
    }

    /// The project's running windtunnel, and its status; `None` when none runs.
    pub(super) async fn running(state: &Path) -> Option<(Client, Value)> {
        let client = Client::new(daemon::read_instance(state).ok()?);
        // A windtunnel that was killed leaves its file behind; then nobody answers, or a stranger does.
        let answer = tokio::time::timeout(ANSWER_DEADLINE, client.get("/console/v1/status"));
        let status = answer.await.ok()?.ok()?;
        Some((client, status))
    }

    /// The same where a verb cannot do without.
    pub(super) async fn needed(state: &Path) -> Result<(Client, Value), Failure> {
        Client::running(state).await.ok_or_else(not_running)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// The same; `None` where there is no such thing.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, incoming) = self.send(Method::GET, path, Bytes::new()).await?;
        let bytes = incoming.collect().await.map_err(|error| lost(&error))?.to_bytes();
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default()))
            }
            status => Err(refused(status, &bytes)),
        }
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, body.to_string().into()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let bytes = self.bytes(method, path, body).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The answer's body as it is, where the answer is yes.
    pub(super) async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let (status, incoming) = self.send(method, path, body).await?;
        let bytes = incoming.collect().await.map_err(|error| lost(&error))?.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(refused(status, &bytes))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Incoming), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.instance.console))
            .header("content-type", "application/json")
            .header("x-windtunnel-token", &self.instance.token)
            .body(Full::new(body))
            .map_err(|error| lost(&error))?;
        let response = self.http.request(request).await.map_err(|error| lost(&error))?;
        Ok((response.status(), response.into_body()))
    }

    /// What happens from now on.
    pub(super) async fn events(&self) -> Result<Events, Failure> {
        let (status, body) = self.send(Method::GET, "/console/v1/events", Bytes::new()).await?;
        if status.is_success() {
            return Ok(Events { body, unread: BytesMut::new() });
        }
        Err(Failure::new(format!("windtunnel refused to tell events ({})", status.as_u16())))
    }
}

/// The stream of events.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    unread: BytesMut,
}

impl Events {
    /// The next event; `None` when windtunnel has gone. Nothing is lost when this is dropped half-way.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end + 1);
                if let Some(data) = line.strip_prefix(b"data: ") {
                    return serde_json::from_slice(data).ok();
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.unread.extend_from_slice(&data);
            }
        }
    }
}

/// No windtunnel of this project answers.
pub(super) fn not_running() -> Failure {
    Failure::new("windtunnel is not running for this project")
        .next("`windtunnel up` starts it, `windtunnel up --detach` in the background")
        .code(NO)
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = value["message"].as_str().unwrap_or("windtunnel gave no reason");
    Failure::new(format!("windtunnel refused ({})", status.as_u16())).why(message).code(NO)
}

fn lost(error: &dyn std::error::Error) -> Failure {
    Failure::new("windtunnel does not answer")
        .why(causes(error))
        .next("`windtunnel status` shows whether it runs; .windtunnel/windtunnel.log says why not")
        .code(NO)
}
