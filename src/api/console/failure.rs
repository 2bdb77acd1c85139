//! Why the console did not do it, as status and sentence.

use http::StatusCode;

use super::json;
use crate::api::wire::Response;
use crate::id::{EnvironmentName, VersionId};
use crate::objects::ObjectError;
use crate::runtime::ExecError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("there is no such page")]
    NoSuchPage,
    #[error("the header X-Windtunnel-Token is missing or is not this instance's")]
    NoToken,
    #[error("the request's body is too large")]
    BodyTooLarge,
    #[error("the request's body is not what it should be: {0}")]
    BadBody(serde_json::Error),
    #[error("environment `{0}` does not exist")]
    NoSuchEnvironment(EnvironmentName),
    #[error("there is no environment")]
    NoEnvironment,
    #[error("there are several environments; name one of {}", listed(.0))]
    WhichEnvironment(Vec<EnvironmentName>),
    #[error(transparent)]
    Command(#[from] ExecError),
    #[error("the parameter `{0}` is missing")]
    NoParameter(&'static str),
    #[error("{0}")]
    BadParameter(String),
    #[error("{0}")]
    NoSuchVersion(String),
    #[error("version `{0}` is a delete marker: it says that there was nothing")]
    DeleteMarker(VersionId),
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    #[error("the journal failed")]
    Journal(#[from] rusqlite::Error),
}

fn listed(names: &[EnvironmentName]) -> String {
    names.iter().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ")
}

impl Failure {
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Failure::NoSuchPage
            | Failure::NoSuchEnvironment(_)
            | Failure::NoSuchVersion(_)
            | Failure::DeleteMarker(_) => StatusCode::NOT_FOUND,
            Failure::NoToken => StatusCode::FORBIDDEN,
            Failure::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::BadBody(_)
            | Failure::WhichEnvironment(_)
            | Failure::NoParameter(_)
            | Failure::BadParameter(_) => StatusCode::BAD_REQUEST,
            Failure::NoEnvironment | Failure::Command(ExecError::NotRunning(_)) => {
                StatusCode::CONFLICT
            }
            Failure::Command(ExecError::Deadline(_)) => StatusCode::GATEWAY_TIMEOUT,
            Failure::Command(ExecError::Interpreter(_)) => StatusCode::BAD_GATEWAY,
            Failure::Objects(error) => {
                tracing::error!(%error, "the console could not read an object");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Failure::Journal(error) => {
                tracing::error!(%error, "the console could not read the journal");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        json(status, &serde_json::json!({ "message": self.to_string() }))
    }
}
