//! Why the console did not do it, as status and sentence.

use http::StatusCode;

use super::json;
use crate::api::wire::Response;
use crate::id::{BucketName, EnvironmentName, VersionId};
use crate::logs::LogError;
use crate::objects::{BucketError, DeleteError, ObjectError, PutError};
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
    #[error("the link was used before, or is older than a minute; ask for another one")]
    UsedLink,
    #[error("Airflow's web server does not answer")]
    Airflow(#[source] hyper_util::client::legacy::Error),
    #[error("the upload broke off")]
    BrokenOff,
    #[error("{0}")]
    Refused(String),
    #[error("the object was not written: {0}")]
    Put(#[from] PutError),
    #[error("bucket `{0}` does not exist")]
    NoSuchBucket(BucketName),
    #[error("the object store failed")]
    Objects(ObjectError),
    #[error(transparent)]
    Logs(#[from] LogError),
    #[error(
        "with `auth = \"strict\"` a scraper sends `Authorization: Bearer TOKEN`, the token of .windtunnel/instance.json"
    )]
    NoBearer,
    #[error("the metrics could not be read")]
    Metrics(#[source] rusqlite::Error),
    #[error("the journal failed")]
    Journal(#[from] rusqlite::Error),
}

fn listed(names: &[EnvironmentName]) -> String {
    names.iter().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ")
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Failure {
        match error {
            ObjectError::NoSuchBucket(bucket) => Failure::NoSuchBucket(bucket),
            ObjectError::NoSuchKey(_) => Failure::NoSuchVersion(error.to_string()),
            ObjectError::Disk { .. } | ObjectError::Index(_) => Failure::Objects(error),
        }
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Failure {
        match error {
            BucketError::NoSuchBucket(bucket) => Failure::NoSuchBucket(bucket),
            BucketError::Index(error) => Failure::Journal(error),
            BucketError::Exists(_)
            | BucketError::NotEmpty(_)
            | BucketError::Locked(_)
            | BucketError::NotVersioned(_) => Failure::Refused(error.to_string()),
        }
    }
}

impl From<DeleteError> for Failure {
    fn from(error: DeleteError) -> Failure {
        match error {
            DeleteError::NoSuchBucket(bucket) => Failure::NoSuchBucket(bucket),
            DeleteError::Index(error) => Failure::Journal(error),
        }
    }
}

impl Failure {
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Failure::NoSuchPage
            | Failure::NoSuchEnvironment(_)
            | Failure::NoSuchVersion(_)
            | Failure::NoSuchBucket(_)
            | Failure::Put(PutError::NoSuchBucket(_))
            | Failure::DeleteMarker(_)
            | Failure::Logs(LogError::NoSuchGroup(_) | LogError::NoSuchStream(_)) => {
                StatusCode::NOT_FOUND
            }
            Failure::NoToken | Failure::NoBearer | Failure::UsedLink => StatusCode::FORBIDDEN,
            Failure::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::BadBody(_)
            | Failure::WhichEnvironment(_)
            | Failure::NoParameter(_)
            | Failure::BrokenOff
            | Failure::BadParameter(_) => StatusCode::BAD_REQUEST,
            Failure::NoEnvironment
            | Failure::Refused(_)
            | Failure::Command(ExecError::NotRunning(_)) => StatusCode::CONFLICT,
            Failure::Command(ExecError::Deadline(_)) => StatusCode::GATEWAY_TIMEOUT,
            Failure::Airflow(_) | Failure::Command(ExecError::Interpreter(_)) => {
                StatusCode::BAD_GATEWAY
            }
            Failure::Put(error) => {
                tracing::error!(%error, "the console could not write an object");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Failure::Objects(error) => {
                tracing::error!(%error, "the console could not read an object");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Failure::Logs(LogError::Index(error)) => {
                tracing::error!(%error, "the console could not read logs");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Failure::Metrics(error) => {
                tracing::error!(%error, "the console could not read metrics");
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
