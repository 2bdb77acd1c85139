//! Failures in CloudWatch's words.

use http::StatusCode;

use crate::api::wire::aws_json;
use crate::metrics::PutError;

const SHAPES: &str = "com.amazonaws.cloudwatch.v2010_08_01";

/// CloudWatch's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InternalService,
    InvalidAction,
    InvalidNextToken,
    InvalidParameterCombination,
    InvalidParameterValue,
    LimitExceeded,
    MissingParameter,
    Validation,
}

impl Code {
    /// The shape in `__type`, and the code of the query protocol, which botocore shows in every protocol.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Code::InternalService => ("InternalServiceFault", "InternalServiceError"),
            Code::InvalidAction => ("UnknownOperationException", "InvalidAction"),
            Code::InvalidNextToken => ("InvalidNextToken", "InvalidNextToken"),
            Code::InvalidParameterCombination => {
                ("InvalidParameterCombinationException", "InvalidParameterCombination")
            }
            Code::InvalidParameterValue => {
                ("InvalidParameterValueException", "InvalidParameterValue")
            }
            Code::LimitExceeded => ("LimitExceededFault", "LimitExceeded"),
            Code::MissingParameter => ("MissingRequiredParameterException", "MissingParameter"),
            Code::Validation => ("ValidationException", "ValidationError"),
        }
    }
}

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// What the caller reads.
    pub(super) message: String,
    /// For the log, where the fault is ours.
    pub(super) cause: Option<String>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), cause: None }
    }

    pub(super) fn value(message: impl Into<String>) -> Failure {
        Failure::new(Code::InvalidParameterValue, message)
    }

    pub(super) fn missing(name: &str) -> Failure {
        Failure::new(Code::MissingParameter, format!("The parameter {name} is required."))
    }

    fn ours(cause: &rusqlite::Error) -> Failure {
        Failure {
            code: Code::InternalService,
            message: "The request processing has failed because of an unknown error.".to_owned(),
            cause: Some(cause.to_string()),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        let ours = self.code == Code::InternalService;
        if ours { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST }
    }

    pub(super) fn query_code(&self) -> &'static str {
        self.code.names().1
    }

    pub(super) fn to_json(&self) -> aws_json::Failure<'_> {
        let (shape, query_code) = self.code.names();
        aws_json::Failure {
            status: self.status(),
            namespace: SHAPES,
            shape,
            message: &self.message,
            query_code: Some(query_code),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::ours(&error)
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Failure {
        match error {
            PutError::TooMany(_) => Failure::new(Code::LimitExceeded, error.to_string()),
            PutError::Index(error) => Failure::ours(&error),
        }
    }
}
