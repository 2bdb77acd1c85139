//! The way of our pages to Airflow's REST API: through the environment's own web server, with a session of ours.
//!
//! So a page is in Airflow who the person at the terminal is, or has the role that was chosen, and every version of
//! Airflow is asked in the way that the web server knows.

use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Surroundings;
use super::failure::Failure;
use crate::api::wire::{Request, Response};
use crate::id::EnvironmentName;
use crate::runtime::ExecError;
use crate::tokens::Grant;
use crate::tokens::identity::{airflow_identity, iam_identity};

/// Connections to the environments' web servers, kept and used again.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    client: Client<HttpConnector, Body>,
}

/// The header with which a page asks as another role.
const ROLE_HEADER: &str = "x-windtunnel-role";

impl Relay {
    pub(super) fn new() -> Relay {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Relay { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Asks the environment's Airflow for `path`, which begins with `api/`.
    #[expect(clippy::too_many_arguments, reason = "the rooms, the place, and what is asked of it")]
    pub(super) async fn ask(
        &self,
        around: &Surroundings,
        name: &EnvironmentName,
        path: &str,
        request: Request,
    ) -> Result<Response, Failure> {
        if !path.starts_with("api/") {
            return Err(Failure::NoSuchPage);
        }
        let environment = around.environments.get(name).filter(|e| e.status.is_usable());
        let web = environment.and_then(|environment| environment.web);
        let web = web.ok_or_else(|| ExecError::NotRunning(name.clone()))?;
        let role = request.headers().get(ROLE_HEADER).and_then(|role| role.to_str().ok());
        let session = around.tokens.issue_session(name, &grant(around, role));
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let target = format!("/{path}{query}");
        let target: PathAndQuery =
            target.parse().map_err(|_| Failure::BadParameter("the path is not one".to_owned()))?;
        let uri = Uri::builder()
            .scheme("http")
            .authority(format!("localhost:{}", web.port()))
            .path_and_query(target)
            .build()
            .expect("a host, a port and a path make a URI");
        let mut asked = http::Request::builder().method(parts.method).uri(uri);
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ACCEPT] {
            if let Some(value) = parts.headers.get(&name) {
                asked = asked.header(name, value);
            }
        }
        let cookie = HeaderValue::from_str(&format!("session={}", session.reveal()))
            .expect("a token is plain text");
        let asked = asked.header(header::COOKIE, cookie).body(body).expect("every part is checked");
        let answer = self.client.request(asked).await.map_err(Failure::Airflow)?;
        let (parts, body) = answer.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = parts.status;
        if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
        }
        Ok(response)
    }
}

/// Who the person at the terminal is in Airflow, with their role or another.
pub(super) fn grant(around: &Surroundings, role: Option<&str>) -> Grant {
    let identity = &around.identity;
    let user = airflow_identity(&iam_identity(&identity.arn));
    let own = || identity.airflow_role.name().map(str::to_owned);
    match role.filter(|role| ROLES.contains(role)) {
        // Another name: Airflow keeps a user's role, and the next request would change it back.
        Some(role) if Some(role) != identity.airflow_role.name() => {
            let role = role.to_owned();
            Grant { user: format!("{user}-{}", role.to_ascii_lowercase()), role: Some(role) }
        }
        _ => Grant { user, role: own() },
    }
}

/// Airflow's roles as MWAA has them.
pub(super) const ROLES: [&str; 5] = ["Admin", "Op", "User", "Viewer", "Public"];
