//! Our own UI and its API: what runs, commands for it, and what happens, as it happens.
//!
//! Promise: no truth is kept here; every answer is read from the rooms below. Who does not hold the instance's token
//! (a file that only the owner of the project can read) learns nothing and changes nothing.

mod events;
mod failure;
mod history;
mod import_errors;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::api::wire::{Request, Response};
use crate::config::{Addresses, Identity};
use crate::db::Db;
use crate::environment::Environments;
use crate::id::EnvironmentName;
use crate::limits::{CONSOLE_BODY_MAX_BYTES, CONSOLE_COMMAND_SECONDS};
use crate::objects::Objects;
use crate::runtime::{ExecError, Runtime};
use crate::tokens::identity::{airflow_identity, iam_identity};
use crate::tokens::{Grant, Tokens};
use failure::Failure;
use import_errors::ImportErrors;

/// The header that carries the instance's token.
pub const TOKEN_HEADER: &str = "x-windtunnel-token";

/// What the console shows and moves, handed in once by `daemon`.
#[derive(Clone)]
pub struct Surroundings {
    pub environments: Environments,
    pub runtime: Arc<dyn Runtime>,
    pub db: Db,
    pub tokens: Tokens,
    /// Who the person at the terminal is in Airflow.
    pub identity: Identity,
    pub objects: Objects,
    /// Where windtunnel really listens.
    pub addresses: Addresses,
    /// What every request must bring along.
    pub token: String,
    /// Cancelled when somebody asks for the end.
    pub ending: CancellationToken,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// The console of one windtunnel. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Console {
    around: Arc<Surroundings>,
    import_errors: Arc<ImportErrors>,
}

/// A command for an environment's Airflow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AirflowCall {
    /// The only one there is, when absent.
    environment: Option<EnvironmentName>,
    argv: Vec<String>,
}

/// A wish to be logged in to an environment's Airflow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginCall {
    /// The only one there is, when absent.
    environment: Option<EnvironmentName>,
}

/// What the command printed, in base64, and its exit code.
#[derive(Debug, Serialize)]
struct AirflowAnswer {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Console {
    /// A console over these rooms. DAG files that do not import are known from here on.
    pub fn new(around: Surroundings) -> Console {
        let import_errors = Arc::new(ImportErrors::from_now(around.db.journal()));
        Console { around: Arc::new(around), import_errors }
    }

    /// Answers one request.
    pub async fn call(&self, request: Request) -> Response {
        let answer = match request.uri().path() {
            "/" | "/index.html" if request.method() == Method::GET => Ok(page()),
            path if path.starts_with("/console/v1/") => self.api(request).await,
            _ => Err(Failure::NoSuchPage),
        };
        answer.unwrap_or_else(|failure| failure.response())
    }

    async fn api(&self, request: Request) -> Result<Response, Failure> {
        self.admit(&request)?;
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        match (method, path.trim_start_matches("/console/v1")) {
            (Method::GET, "/status") => {
                let errors = self.import_errors.now(&self.around).await?;
                Ok(json(StatusCode::OK, &status::of(&self.around, &errors)))
            }
            (Method::GET, "/events") => Ok(events::stream(&self.around, &request)),
            (Method::GET, "/versions") => {
                let history = history::versions(&self.around, request.uri()).await?;
                Ok(json(StatusCode::OK, &history))
            }
            (Method::GET, "/object") => history::object(&self.around, request.uri()).await,
            (Method::POST, "/shutdown") => {
                self.around.ending.cancel();
                Ok(json(StatusCode::ACCEPTED, &serde_json::json!({})))
            }
            (Method::POST, "/airflow") => self.airflow(request).await,
            (Method::POST, "/web-login") => self.web_login(request).await,
            _ => Err(Failure::NoSuchPage),
        }
    }

    /// Compares digests, so that the time it takes tells nothing about the token.
    fn admit(&self, request: &Request) -> Result<(), Failure> {
        let given = request.headers().get(TOKEN_HEADER).map_or(&[][..], |value| value.as_bytes());
        if Sha256::digest(given) == Sha256::digest(&self.around.token) {
            Ok(())
        } else {
            Err(Failure::NoToken)
        }
    }

    async fn airflow(&self, request: Request) -> Result<Response, Failure> {
        let call: AirflowCall = body(request).await?;
        let environment = self.environment(call.environment)?;
        let deadline = Duration::from_secs(CONSOLE_COMMAND_SECONDS);
        let output = self.around.runtime.exec(&environment, call.argv, deadline).await?;
        let answer = AirflowAnswer {
            stdout: STANDARD.encode(output.stdout),
            stderr: STANDARD.encode(output.stderr),
            code: output.code,
        };
        Ok(json(StatusCode::OK, &answer))
    }

    /// A link that logs a browser in, once and within a minute.
    ///
    /// It is plain http, which the same port serves: a browser knows nothing of the project's certificate authority.
    async fn web_login(&self, request: Request) -> Result<Response, Failure> {
        let call: LoginCall = body(request).await?;
        let name = self.environment(call.environment)?;
        let environment = self.around.environments.get(&name).filter(|e| e.status.is_usable());
        let web = environment.and_then(|environment| environment.web);
        let web = web.ok_or_else(|| ExecError::NotRunning(name.clone()))?;
        let Identity { arn, airflow_role, .. } = &self.around.identity;
        let user = airflow_identity(&iam_identity(arn));
        let grant = Grant { user, role: airflow_role.name().map(str::to_owned) };
        let token = self.around.tokens.issue_web(&name, &grant);
        let page = "aws_mwaa/aws-console-sso?login=true";
        let url = format!("http://localhost:{}/{page}#{}", web.port(), token.reveal());
        Ok(json(StatusCode::OK, &serde_json::json!({ "url": url })))
    }

    /// The environment that is meant: the named one, or the only one.
    fn environment(&self, asked: Option<EnvironmentName>) -> Result<EnvironmentName, Failure> {
        if let Some(name) = asked {
            return match self.around.environments.get(&name) {
                Some(_) => Ok(name),
                None => Err(Failure::NoSuchEnvironment(name)),
            };
        }
        let mut names = self.around.environments.list();
        match names.len() {
            0 => Err(Failure::NoEnvironment),
            1 => Ok(names.remove(0)),
            _ => Err(Failure::WhichEnvironment(names)),
        }
    }
}

/// A small JSON body.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    let bytes = axum::body::to_bytes(request.into_body(), CONSOLE_BODY_MAX_BYTES)
        .await
        .map_err(|_| Failure::BodyTooLarge)?;
    serde_json::from_slice(&bytes).map_err(Failure::BadBody)
}

/// The built console, or the page that stands in for it.
#[derive(rust_embed::RustEmbed)]
#[folder = "ui/dist"]
struct Page;

fn page() -> Response {
    let page = Page::get("index.html").expect("ui/dist/index.html is checked in");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // Nothing from elsewhere, and nobody frames it.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    let mut response = Response::new(Body::from(page.data.into_owned()));
    for (name, value) in headers {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    response
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("an answer is plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
