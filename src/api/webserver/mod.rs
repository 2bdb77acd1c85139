//! An environment's web server as clients see it: MWAA's sign-in, its CLI endpoint, and Airflow's own UI and REST
//! behind a reverse proxy.
//!
//! Promise: what a client says about who it is, other than by a token of ours, never reaches Airflow; bodies stream
//! both ways and are never held. Not here: listeners and TLS (`gateway`); tokens' insides (`tokens`).

mod cli;
mod cookie;
mod failure;
mod login;
mod page;
mod proxy;
mod words;

use std::sync::Arc;

use http::header::ACCEPT;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

use super::wire::{Request, Response};
use crate::airflow;
use crate::environment::{Environments, Status};
use crate::id::EnvironmentName;
use crate::limits::CLI_CONCURRENCY;
use crate::runtime::{Runtime, Upstream};
use crate::tokens::{Grant, Refused, Tokens};
use failure::Refusal;
use proxy::{Identity, Proxy};

/// One environment's web server. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct WebServer {
    environment: EnvironmentName,
    environments: Environments,
    tokens: Tokens,
    runtime: Arc<dyn Runtime>,
    proxy: Proxy,
    /// A place for each CLI command that may run at once.
    places: Arc<Semaphore>,
}

impl WebServer {
    /// The web server of `environment`, over these rooms.
    pub fn new(
        environment: EnvironmentName,
        environments: Environments,
        tokens: Tokens,
        runtime: Arc<dyn Runtime>,
    ) -> WebServer {
        WebServer {
            environment,
            environments,
            tokens,
            runtime,
            proxy: Proxy::new(),
            places: Arc::new(Semaphore::new(CLI_CONCURRENCY)),
        }
    }

    /// Answers one request. The gateway says in the extensions how its connection came in.
    pub async fn call(&self, request: Request) -> Response {
        let browser = is_navigation(&request);
        match self.try_call(request).await {
            Ok(response) => response,
            Err(refusal) if browser => page::failure(refusal.status(), &refusal.to_string()),
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn try_call(&self, request: Request) -> Result<Response, Refusal> {
        let path = path(&request);
        let post = request.method() == Method::POST;
        match path.as_str() {
            "/aws_mwaa/cli" | "/pluginsv2/aws_mwaa/cli" if post => self.run_command(request).await,
            "/aws_mwaa/login" if post => self.log_in(request).await,
            // AWS: an Airflow 2 environment answers 404 here; clients tell the versions apart by it.
            "/pluginsv2/aws_mwaa/login" if post && self.airflow_major() >= 3 => {
                self.log_in(request).await
            }
            "/pluginsv2/aws_mwaa/login" => Err(Refusal::NoSuchPage),
            "/aws_mwaa/aws-console-sso" if request.method() == Method::GET => {
                Ok(page::console_sso(self.home_path()))
            }
            "/aws_mwaa/cli"
            | "/pluginsv2/aws_mwaa/cli"
            | "/aws_mwaa/login"
            | "/aws_mwaa/aws-console-sso" => Err(Refusal::WrongMethod),
            "/logout" | "/auth/logout" | "/api/v2/auth/logout" => self.log_out(request).await,
            _ if is_inner(&path) => Err(Refusal::NoSuchPage),
            _ => self.pass_on(request).await,
        }
    }

    /// Hands the request to Airflow's own web server, as somebody whom we know from elsewhere than a session.
    pub async fn call_as(&self, grant: Grant, request: Request) -> Response {
        self.forward(Some(grant), request).await.unwrap_or_else(Refusal::into_response)
    }

    /// Hands the request to Airflow's own web server, with the identity of the session.
    async fn pass_on(&self, request: Request) -> Result<Response, Refusal> {
        let tokens = cookie::airflow_tokens(&request);
        if tokens.iter().any(|token| self.tokens.is_ended_airflow_token(token)) {
            return Err(Refusal::Token(Refused::Ended));
        }
        let grant = self.session(&request);
        if grant.is_none() && is_navigation(&request) {
            return Ok(page::log_in(&self.environment, &proxy::host(&request)));
        }
        self.forward(grant, request).await
    }

    async fn forward(&self, grant: Option<Grant>, request: Request) -> Result<Response, Refusal> {
        let upstream = self.upstream()?;
        let identity = grant.map(|grant| Identity { grant, secret: upstream.proxy_secret.clone() });
        self.proxy.forward(upstream.address, identity.as_ref(), request).await
    }

    /// Where Airflow's own web server is.
    fn upstream(&self) -> Result<Upstream, Refusal> {
        let upstream = self.runtime.upstream(&self.environment);
        upstream.ok_or_else(|| Refusal::NotRunning(self.environment.clone(), self.status()))
    }

    /// Who is logged in, if anybody is.
    fn session(&self, request: &Request) -> Option<Grant> {
        let sessions = cookie::sessions(request);
        sessions.iter().find_map(|text| self.tokens.session(&self.environment, text).ok())
    }

    fn status(&self) -> Option<Status> {
        self.environments.get(&self.environment).map(|environment| environment.status)
    }

    fn airflow_major(&self) -> u32 {
        let environment = self.environments.get(&self.environment);
        let recipe = environment.and_then(|found| airflow::recipe(&found.spec.airflow_version));
        recipe.map_or(2, |recipe| recipe.major)
    }

    /// Where a person begins in Airflow's UI.
    fn home_path(&self) -> &'static str {
        if self.airflow_major() >= 3 { "/" } else { "/home" }
    }
}

/// The path as Airflow's server reads it, so that no other spelling of one goes past what is decided by it.
fn path(request: &Request) -> String {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    path.trim_end_matches('/').to_owned()
}

/// Whether nothing from outside belongs there: what is between us and Airflow's server, MWAA's own paths, and what
/// Airflow 3 has for its workers. They ask it directly; with a task's token one reads connections and sets states.
fn is_inner(path: &str) -> bool {
    path.starts_with("/windtunnel")
        || path.starts_with("/aws_mwaa")
        || path == "/execution"
        || path.starts_with("/execution/")
}

/// Whether a person's browser asks for a page, and so wants an explanation and not an API's error.
fn is_navigation(request: &Request) -> bool {
    let path = request.uri().path();
    let wants_page = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let for_machines =
        ["/api/", "/ui/", "/static/", "/health"].iter().any(|at| path.starts_with(at));
    matches!(*request.method(), Method::GET | Method::HEAD) && wants_page && !for_machines
}

/// A JSON answer of this surface: not AWS's protocol, so no error type in a header.
fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut response = Response::new(axum::body::Body::from(value.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn what_is_airflows_own_is_not_there_for_others_in_any_spelling() {
        for (uri, expected) in [
            ("/windtunnel/token", true),
            ("/%77indtunnel/token", true),
            ("/windtunnel%2Ftoken?x=1", true),
            ("/execution", true),
            ("/execution/health", true),
            ("/%65xecution/variables/secret", true),
            ("/aws_mwaa/else", true),
            ("/executions", false),
            ("/api/v2/dags?x=/execution/", false),
            ("/dags/execution/", false),
        ] {
            let request = http::Request::builder().uri(uri).body(Body::empty()).unwrap();
            assert_eq!(is_inner(&path(&request)), expected, "{uri}");
        }
    }

    #[test]
    fn only_pages_that_people_open_are_explained_in_html() {
        let browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
        for (method, path, accept, expected) in [
            ("GET", "/home", browser, true),
            ("GET", "/api/v1/dags", browser, false),
            ("GET", "/health", browser, false),
            ("GET", "/static/x.js", browser, false),
            ("POST", "/home", browser, false),
            ("GET", "/home", "*/*", false),
        ] {
            let request =
                http::Request::builder().method(method).uri(path).header("accept", accept);
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_navigation(&request), expected, "{method} {path} {accept}");
        }
    }
}
