//! Errors to MWAA's codes and statuses.

use http::StatusCode;

use super::rest::Answer;
use crate::api::wire::rest_json::Failure;
use crate::constraints::Faults;
use crate::environment::{RequestError, Status};
use crate::id::{BucketName, EnvironmentName};
use crate::metrics::PutError;
use crate::objects::{BucketError, ObjectError};

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Not a request that this protocol can read.
    Wire(Failure),
    /// Members break their constraints.
    Invalid(Faults),
    /// No operation has this method and path.
    UnknownOperation(String),
    NoEnvironment(EnvironmentName),
    /// The same, where MWAA's model knows no error for it.
    NoEnvironmentToMeasure(EnvironmentName),
    /// No environment can have this ARN.
    NoSuchArn(String),
    /// The environment is there, but no token of it could be used now.
    NotRunning(EnvironmentName, Status),
    NoBucket(BucketName),
    NotVersioned(BucketName),
    /// An object that the request names cannot be read at that version.
    Unreadable {
        bucket: BucketName,
        path: String,
        version: Option<String>,
    },
    NoAirflowRole,
    /// The identity with that ARN may not run Airflow commands.
    NoCli(String),
    /// No address can be made of the path that Airflow was to be asked for.
    NotAPath(String),
    /// Airflow refused a call of its REST API, or failed at it.
    Airflow(Answer),
    /// The gateway did not say who calls.
    NobodyCalls,
    Environment(RequestError),
    Objects(ObjectError),
    Bucket(BucketError),
    Metrics(PutError),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Wire(failure)
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Refusal {
        Refusal::Environment(error)
    }
}

impl From<BucketError> for Refusal {
    fn from(error: BucketError) -> Refusal {
        Refusal::Bucket(error)
    }
}

impl From<ObjectError> for Refusal {
    fn from(error: ObjectError) -> Refusal {
        Refusal::Objects(error)
    }
}

impl Refusal {
    /// As the client reads it.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Refusal::Wire(failure) => failure,
            Refusal::Invalid(faults) => validation(constraint_message(&faults)),
            Refusal::UnknownOperation(what) => {
                unknown(format!("{what} is no operation of Amazon MWAA"))
            }
            Refusal::NoEnvironment(name) => not_found(format!("No environment named {name}")),
            Refusal::NoSuchArn(arn) => not_found(format!("No environment has the ARN {arn}")),
            Refusal::NotRunning(name, status) => not_found(format!(
                "Environment {name} is {status}; tokens are issued while it is AVAILABLE"
            )),
            Refusal::NoBucket(bucket) => validation(format!(
                "Source bucket {bucket} does not exist; create it, with versioning, first"
            )),
            Refusal::NotVersioned(bucket) => validation(format!(
                "Versioning of source bucket {bucket} is not enabled; enable it with \
                 put-bucket-versioning"
            )),
            Refusal::Unreadable { bucket, path, version } => {
                let version = version.map_or_else(
                    || "a current version".to_owned(),
                    |version| format!("version {version}"),
                );
                validation(format!("Unable to read {version} of the file {path} in {bucket}"))
            }
            Refusal::NoAirflowRole => Failure::new(
                "AccessDeniedException",
                StatusCode::FORBIDDEN,
                // AWS: Airflow's MWAA hook looks for the words "Airflow role" in it.
                "No Airflow role granted in IAM.",
            ),
            Refusal::NoCli(arn) => Failure::new(
                "AccessDeniedException",
                StatusCode::FORBIDDEN,
                format!(
                    "User: {arn} is not authorized to perform: airflow:CreateCliToken because no \
                     identity-based policy allows the airflow:CreateCliToken action"
                ),
            ),
            Refusal::NotAPath(path) => {
                validation(format!("'{path}' is no path of Apache Airflow's REST API"))
            }
            Refusal::Airflow(answer) => airflow(answer),
            Refusal::NobodyCalls => Failure::new(
                "MissingAuthenticationToken",
                StatusCode::FORBIDDEN,
                "The request is not signed",
            ),
            Refusal::Environment(error) => environment(error),
            Refusal::Objects(error) => fault(&error),
            Refusal::Bucket(error) => fault(&error),
            Refusal::Metrics(error) => match error {
                PutError::TooMany(_) => validation(error.to_string()),
                PutError::Index(_) => fault(&error),
            },
            Refusal::NoEnvironmentToMeasure(name) => {
                validation(format!("No environment named {name}"))
            }
        }
    }
}

fn environment(error: RequestError) -> Failure {
    match error {
        RequestError::NotFound(name) => not_found(format!("No environment named {name}")),
        RequestError::Exists(name) => {
            validation(format!("An environment named {name} already exists"))
        }
        RequestError::Refused { verb, status, .. } => validation(refused(verb, status)),
        RequestError::NeverForced(_) | RequestError::Invalid(_) => validation(error.to_string()),
        RequestError::Index(_) => fault(&error),
    }
}

/// AWS: both are HTTP 400 without a message; what Airflow said is in two members of the error.
fn airflow(Answer { status, body }: Answer) -> Failure {
    let code =
        if status.is_server_error() { "RestApiServerException" } else { "RestApiClientException" };
    let mut failure = Failure::new(code, StatusCode::BAD_REQUEST, "");
    failure.members = Some(serde_json::json!({
        "RestApiStatusCode": status.as_u16(),
        "RestApiResponse": body,
    }));
    failure
}

/// AWS's sentences: what is under way comes to its end first, and some statuses are ends.
fn refused(verb: &str, status: Status) -> String {
    match status {
        Status::Creating | Status::Updating | Status::CreatingSnapshot | Status::RollingBack => {
            format!(
                "Environments with {status} status must complete previous operation before \
                 initiating a new operation."
            )
        }
        Status::CreateFailed
        | Status::Available
        | Status::UpdateFailed
        | Status::Unavailable
        | Status::Deleting
        | Status::Deleted => format!("Environments with {status} status cannot be {verb}."),
    }
}

/// A fault of ours: the caller hears that, the log hears why.
fn fault(error: &dyn std::error::Error) -> Failure {
    let causes: Vec<_> = std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect();
    tracing::error!(causes = causes.join(": "), "a request to MWAA failed");
    Failure::new(
        "InternalServerException",
        StatusCode::INTERNAL_SERVER_ERROR,
        "windtunnel could not do it; its log has the reason under this request's id",
    )
}

fn validation(message: String) -> Failure {
    Failure::new("ValidationException", StatusCode::BAD_REQUEST, message)
}

fn not_found(message: String) -> Failure {
    Failure::new("ResourceNotFoundException", StatusCode::NOT_FOUND, message)
}

fn unknown(message: String) -> Failure {
    Failure::new("UnknownOperationException", StatusCode::NOT_FOUND, message)
}

/// AWS's own way to put it: how many, and then each.
fn constraint_message(Faults(faults): &Faults) -> String {
    let count = faults.len();
    let errors = if count == 1 { "error" } else { "errors" };
    let sentences: Vec<_> = faults.iter().map(ToString::to_string).collect();
    format!("{count} validation {errors} detected: {}", sentences.join("; "))
}
