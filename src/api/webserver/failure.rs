//! Why the web server refuses, and with what status.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::airflow::permitted::NotPermitted;
use crate::api::wire::Response;
use crate::api::wire::rest_json::Failure;
use crate::environment::Status;
use crate::id::EnvironmentName;
use crate::runtime::ExecError;
use crate::tokens::Refused;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "a token is missing: send `Authorization: Bearer TOKEN` with a token of create-cli-token"
    )]
    NoBearer,
    #[error(
        "a token is missing: send the form field `token` with a token of create-web-login-token"
    )]
    NoFormToken,
    #[error("{0}; ask for a new one, and use it within 60 seconds")]
    Token(Refused),
    #[error("{}", .0.message)]
    Body(Failure),
    #[error("the command is not UTF-8 text")]
    NotText,
    #[error("the command cannot be split into words: a quote is not closed")]
    NotWords,
    #[error(transparent)]
    NotPermitted(NotPermitted),
    #[error("too many commands are running; MWAA's CLI endpoint is for one after the other")]
    Busy,
    #[error("environment {0} is {status}, so Airflow does not answer", status = status_name(*.1))]
    NotRunning(EnvironmentName, Option<Status>),
    #[error("the command was still running after {0:?} and was stopped")]
    Deadline(Duration),
    #[error("the command could not be run; windtunnel's log has the reason")]
    Exec(#[source] std::io::Error),
    #[error("Airflow's web server does not answer; it is probably being started again")]
    Upstream,
    #[error("the identity of this session cannot be put in a header")]
    Identity,
    #[error("there is no such page")]
    NoSuchPage,
    #[error("this page does not answer to that method")]
    WrongMethod,
}

impl From<ExecError> for Refusal {
    fn from(error: ExecError) -> Refusal {
        match error {
            ExecError::NotRunning(environment) => Refusal::NotRunning(environment, None),
            ExecError::Deadline(after) => Refusal::Deadline(after),
            ExecError::Interpreter(cause) => {
                tracing::error!(%cause, "the warm interpreter could not be asked");
                Refusal::Exec(cause)
            }
        }
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::Token(Refused::Unknown) | Refusal::Exec(_) | Refusal::Identity => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Refusal::NoBearer | Refusal::NoFormToken | Refusal::Token(_) => StatusCode::FORBIDDEN,
            Refusal::Body(failure) => failure.status,
            Refusal::NotText | Refusal::NotWords | Refusal::NotPermitted(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Busy | Refusal::NotRunning(..) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Upstream => StatusCode::BAD_GATEWAY,
            Refusal::NoSuchPage => StatusCode::NOT_FOUND,
            Refusal::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// As a program reads it.
    pub(super) fn into_response(self) -> Response {
        super::json(self.status(), &json!({ "message": self.to_string() }))
    }
}

fn status_name(status: Option<Status>) -> &'static str {
    status.map_or("not running", Status::name)
}
