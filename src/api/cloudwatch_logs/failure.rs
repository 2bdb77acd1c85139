//! From errors to AWS's codes and words.

use http::StatusCode;

use crate::api::wire::aws_json;
use crate::logs::pattern::BadPattern;
use crate::logs::{AppendError, CreateError, LogError};

/// The namespace of the shapes.
const SHAPES: &str = "com.amazonaws.cloudwatchlogs";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidParameter,
    NotFound,
    AlreadyExists,
    UnknownOperation,
    Unavailable,
}

impl Code {
    fn shape(self) -> &'static str {
        match self {
            Code::InvalidParameter => "InvalidParameterException",
            Code::NotFound => "ResourceNotFoundException",
            Code::AlreadyExists => "ResourceAlreadyExistsException",
            Code::UnknownOperation => "UnknownOperationException",
            Code::Unavailable => "ServiceUnavailableException",
        }
    }
}

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: Code,
    message: String,
    /// For the log, where the fault is ours.
    pub(super) cause: Option<String>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), cause: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(Code::InvalidParameter, message)
    }

    pub(super) fn stream_exists() -> Failure {
        Failure::new(Code::AlreadyExists, "The specified log stream already exists")
    }

    pub(super) fn group_exists() -> Failure {
        Failure::new(Code::AlreadyExists, "The specified log group already exists")
    }

    pub(super) fn no_group() -> Failure {
        Failure::new(Code::NotFound, "The specified log group does not exist.")
    }

    fn ours(cause: &rusqlite::Error) -> Failure {
        let message = "The service cannot complete the request.";
        Failure { cause: Some(cause.to_string()), ..Failure::new(Code::Unavailable, message) }
    }

    pub(super) fn to_json(&self) -> aws_json::Failure<'_> {
        aws_json::Failure {
            status: match self.code {
                Code::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
                Code::InvalidParameter
                | Code::NotFound
                | Code::AlreadyExists
                | Code::UnknownOperation => StatusCode::BAD_REQUEST,
            },
            namespace: SHAPES,
            shape: self.code.shape(),
            message: &self.message,
            query_code: None,
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        match error {
            LogError::NoSuchGroup(_) => Failure::no_group(),
            LogError::NoSuchStream(_) => {
                Failure::new(Code::NotFound, "The specified log stream does not exist.")
            }
            LogError::Index(error) => Failure::ours(&error),
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Failure {
        match error {
            CreateError::Exists => Failure::stream_exists(),
            CreateError::Log(error) => error.into(),
            CreateError::Index(error) => Failure::ours(&error),
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Failure {
        match error {
            AppendError::Span => Failure::invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ),
            AppendError::Log(error) => error.into(),
            AppendError::Index(error) => Failure::ours(&error),
        }
    }
}

impl From<BadPattern> for Failure {
    fn from(error: BadPattern) -> Failure {
        Failure::invalid(format!("Invalid filter pattern: {error}"))
    }
}
