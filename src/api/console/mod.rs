//! Our own UI and its API: what runs, commands for it, and what happens, as it happens.
//!
//! Promise: no truth is kept here; every answer is read from the rooms below. Who holds neither the instance's
//! token (a file that only the owner of the project can read) nor a session (`session`) learns and changes nothing.

mod assets;
mod bucket;
mod calls;
mod dags;
mod events;
mod failure;
mod files;
mod history;
mod import_errors;
mod launches;
mod logs;
mod metrics;
mod query;
mod relay;
mod session;
mod status;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::api::wire::{Request, Response};
use crate::clock::Clock;
use crate::config::{Addresses, Auth, Identity};
use crate::db::Db;
use crate::environment::{Environment, Environments};
use crate::id::EnvironmentName;
use crate::limits::{CONSOLE_BODY_MAX_BYTES, CONSOLE_COMMAND_SECONDS};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::runtime::{ExecError, Report, Runtime};
use crate::tokens::Tokens;
use failure::Failure;
use import_errors::ImportErrors;
use launches::Launches;
use relay::Relay;
use session::Sessions;

/// Asks an AWS service of ours, by the name it has in credential scopes, as the person at the terminal.
pub type AwsCall = Arc<dyn Fn(String, Request) -> BoxFuture<'static, Response> + Send + Sync>;

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
    pub metrics: Metrics,
    pub clock: Clock,
    /// What the AWS endpoint was asked.
    pub activity: Activity,
    /// The AWS services, for pages that speak their protocols.
    pub aws: AwsCall,
    /// Whether a key must be known.
    pub auth: Auth,
    /// `.windtunnel/environments`.
    pub home: PathBuf,
    pub logs: Logs,
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
    launches: Arc<Launches>,
    sessions: Arc<Sessions>,
    relay: Relay,
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
    /// The person's own, when absent.
    role: Option<String>,
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
        let launches = Arc::new(Launches::new(around.clock.clone()));
        let port = around.addresses.console.port();
        let sessions = Arc::new(Sessions::new(port, around.auth, around.clock.clone()));
        let around = Arc::new(around);
        Console { around, import_errors, launches, sessions, relay: Relay::new() }
    }

    /// Remembers what launches say, until `stop`.
    pub async fn follow(
        self,
        reports: broadcast::Receiver<(EnvironmentName, Report)>,
        stop: CancellationToken,
    ) {
        self.launches.follow(reports, stop).await;
    }

    /// Answers one request.
    pub async fn call(&self, request: Request) -> Response {
        let path = request.uri().path();
        let answer = if path.starts_with("/console/v1/") {
            self.api(request).await
        } else if request.method() != Method::GET {
            Err(Failure::NoSuchPage)
        } else if path == "/metrics" && !metrics::is_browser(request.headers()) {
            self.scraped(request.headers()).await
        } else if let Some(name) = path.strip_prefix("/assets/") {
            assets::file(name).ok_or(Failure::NoSuchPage)
        } else if path == "/console/enter" {
            query::needed(request.uri(), "word").and_then(|word| self.sessions.enter(&word))
        } else if path.contains('.') && path != "/index.html" {
            Err(Failure::NoSuchPage)
        } else if self.sessions.may_open(request.headers()) {
            // Every other path is one of the page's own, and survives a reload.
            Ok(self.sessions.remember(assets::page()))
        } else {
            Ok(assets::closed())
        };
        answer.unwrap_or_else(|failure| failure.response())
    }

    async fn api(&self, request: Request) -> Result<Response, Failure> {
        self.sessions.admit(&request, &self.around.token)?;
        let uri = request.uri().clone();
        let path = uri.path().trim_start_matches("/console/v1/");
        let around = &self.around;
        match path.split_once('/').unwrap_or((path, "")) {
            ("aws", rest) => self.aws(rest, request).await,
            ("logs", rest) => logs::answer(around, rest, (request.method(), &uri)).await,
            ("environments", rest) => self.of_environment(rest, request).await,
            ("activity", seq) if !seq.is_empty() => calls::one(around, seq),
            _ => match (request.method(), path) {
                (&Method::GET, "status") => {
                    let errors = self.import_errors.now(around).await?;
                    Ok(json(StatusCode::OK, &status::of(around, &errors, &self.launches)))
                }
                (&Method::GET, "events") => Ok(events::stream(around, &self.launches, &request)),
                (&Method::GET, "journal") => dags::journal(around, &uri).await,
                (&Method::GET, "activity") => calls::list(around, &uri).await,
                (&Method::GET, "metrics") => metrics::list(around, &uri).await,
                (&Method::POST, "metrics/data") => metrics::data(around, request).await,
                (&Method::GET, "versions") => {
                    Ok(json(StatusCode::OK, &history::versions(around, &uri).await?))
                }
                (&Method::GET, "buckets") => bucket::buckets(around).await,
                (&Method::GET, "objects") => bucket::list(around, &uri).await,
                (&Method::GET, "object") => history::object(around, &uri).await,
                (&Method::PUT, "object") => bucket::upload(around, request).await,
                (&Method::DELETE, "object") => bucket::delete(around, &uri).await,
                (&Method::POST, "restore") => bucket::restore(around, &uri).await,
                (&Method::POST, "shutdown") => {
                    around.ending.cancel();
                    Ok(json(StatusCode::ACCEPTED, &serde_json::json!({})))
                }
                (&Method::POST, "airflow") => self.airflow(request).await,
                (&Method::POST, "web-login") => self.web_login(request).await,
                (&Method::POST, "console-login") => Ok(self.console_login()),
                _ => Err(Failure::NoSuchPage),
            },
        }
    }

    /// `/aws/SERVICE/PATH`: the service's own protocol, the caller known by the page's session.
    async fn aws(&self, rest: &str, request: Request) -> Result<Response, Failure> {
        let (service, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let target = format!("/{path}{query}");
        parts.uri =
            target.parse().map_err(|_| Failure::BadParameter("the path is not one".to_owned()))?;
        parts.headers.remove(header::COOKIE);
        parts.headers.remove(session::TOKEN_HEADER);
        Ok((self.around.aws)(service.to_owned(), Request::from_parts(parts, body)).await)
    }

    /// `/environments/NAME/…`: what belongs to one environment.
    async fn of_environment(&self, rest: &str, request: Request) -> Result<Response, Failure> {
        let (name, rest) = rest.split_once('/').ok_or(Failure::NoSuchPage)?;
        let name = EnvironmentName::parse(query::segment(name)).map_err(|_| Failure::NoSuchPage)?;
        let around = &self.around;
        let environment: Environment =
            around.environments.get(&name).ok_or(Failure::NoSuchEnvironment(name.clone()))?;
        match (request.method(), rest) {
            (&Method::GET, "files") => dags::files(around, &environment).await,
            (&Method::GET, "log-files") => files::list(around, &environment).await,
            (&Method::GET, "log-file") => files::tail(around, &environment, request.uri()).await,
            (_, rest) => match rest.strip_prefix("airflow/") {
                Some(path) => self.relay.ask(around, &name, path, request).await,
                None => Err(Failure::NoSuchPage),
            },
        }
    }

    /// Open to whom the page is open, and to a scraper that knows the instance's token.
    async fn scraped(&self, headers: &HeaderMap) -> Result<Response, Failure> {
        let known = metrics::is_scraper(headers, &self.around.token);
        if known || self.sessions.may_open(headers) {
            metrics::scraped(&self.around).await
        } else {
            Err(Failure::NoBearer)
        }
    }

    /// A link that opens these pages, once and within a minute.
    fn console_login(&self) -> Response {
        let (console, word) = (self.around.addresses.console, self.sessions.link());
        let url = format!("http://{console}/console/enter?word={word}");
        json(StatusCode::OK, &serde_json::json!({ "url": url }))
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
        let grant = relay::grant(&self.around, call.role.as_deref());
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

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("an answer is plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
