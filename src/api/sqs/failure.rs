//! Failures in SQS's words.

use http::StatusCode;

use crate::api::wire::aws_json;
use crate::queues::{BadReceipt, Change, CreateError, QueueError, SendError, VisibilityError};

const SHAPES: &str = "com.amazonaws.sqs";

/// SQS's error codes, by the names of their shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InternalError,
    InvalidAction,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageNotInflight,
    MissingParameter,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    TooManyEntriesInBatchRequest,
}

impl Code {
    /// The shape in `__type`, and the code of the query protocol.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Code::BatchEntryIdsNotDistinct => {
                ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
            }
            Code::BatchRequestTooLong => {
                ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong")
            }
            Code::EmptyBatchRequest => {
                ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest")
            }
            Code::InternalError => ("InternalError", "InternalError"),
            Code::InvalidAction => ("UnknownOperationException", "InvalidAction"),
            Code::InvalidAttributeName => ("InvalidAttributeName", "InvalidAttributeName"),
            Code::InvalidAttributeValue => ("InvalidAttributeValue", "InvalidAttributeValue"),
            Code::InvalidBatchEntryId => {
                ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId")
            }
            Code::InvalidMessageContents => ("InvalidMessageContents", "InvalidMessageContents"),
            Code::InvalidParameterValue => ("InvalidParameterValue", "InvalidParameterValue"),
            Code::MessageNotInflight => {
                ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight")
            }
            Code::MissingParameter => ("MissingParameter", "MissingParameter"),
            Code::QueueDoesNotExist => {
                ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
            }
            Code::QueueNameExists => ("QueueNameExists", "QueueAlreadyExists"),
            Code::ReceiptHandleIsInvalid => ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Code::TooManyEntriesInBatchRequest => (
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
        }
    }
}

/// An operation, or one entry of a batch, that failed.
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

    pub(super) fn body() -> Failure {
        Failure::new(
            Code::InvalidParameterValue,
            "The request body is larger than what SQS accepts, or ended early.",
        )
    }

    fn ours(cause: &rusqlite::Error) -> Failure {
        Failure {
            code: Code::InternalError,
            message: "We encountered an internal error. Please try again.".to_owned(),
            cause: Some(cause.to_string()),
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.code == Code::InternalError
    }

    pub(super) fn status(&self) -> StatusCode {
        if self.is_ours() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST }
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

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        match error {
            // MWAA's entry point compares this message, word for word.
            QueueError::NoSuchQueue(_) => {
                Failure::new(Code::QueueDoesNotExist, "The specified queue does not exist.")
            }
            QueueError::Index(error) => Failure::ours(&error),
        }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Failure {
        match error {
            CreateError::Differs { change, .. } => Failure::new(
                Code::QueueNameExists,
                format!(
                    "A queue already exists with the same name and a different value for attribute {}",
                    attribute_of(&change)
                ),
            ),
            CreateError::Index(error) => Failure::ours(&error),
        }
    }
}

fn attribute_of(change: &Change) -> &str {
    match change {
        Change::VisibilitySeconds(_) => "VisibilityTimeout",
        Change::DelaySeconds(_) => "DelaySeconds",
        Change::RetentionSeconds(_) => "MessageRetentionPeriod",
        Change::MaxBytes(_) => "MaximumMessageSize",
        Change::WaitSeconds(_) => "ReceiveMessageWaitTimeSeconds",
        Change::Fifo(_) => "FifoQueue",
        Change::DeduplicatesByContent(_) => "ContentBasedDeduplication",
        Change::Redrive(_) => "RedrivePolicy",
        Change::Note(name, _) => name,
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Failure {
        match error {
            SendError::TooLarge { max_bytes, .. } => Failure::new(
                Code::InvalidParameterValue,
                format!(
                    "One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
                ),
            ),
            SendError::NoGroup => Failure::new(
                Code::MissingParameter,
                "The request must contain the parameter MessageGroupId.",
            ),
            SendError::NoDeduplication => Failure::new(
                Code::InvalidParameterValue,
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                 explicitly",
            ),
            SendError::DelayOnFifo => Failure::new(
                Code::InvalidParameterValue,
                "The request includes a parameter that is not valid for this queue type: DelaySeconds",
            ),
        }
    }
}

impl From<BadReceipt> for Failure {
    fn from(error: BadReceipt) -> Failure {
        Failure::new(
            Code::ReceiptHandleIsInvalid,
            format!("The input receipt handle \"{}\" is not a valid receipt handle.", error.given),
        )
    }
}

impl From<VisibilityError> for Failure {
    fn from(error: VisibilityError) -> Failure {
        match error {
            VisibilityError::BadReceipt(error) => error.into(),
            VisibilityError::Deleted => Failure::new(
                Code::InvalidParameterValue,
                "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available \
                 for visibility timeout change.",
            ),
            VisibilityError::NotInFlight => {
                Failure::new(Code::MessageNotInflight, "The specified message isn't in flight.")
            }
            VisibilityError::TooLong => Failure::new(
                Code::InvalidParameterValue,
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            ),
        }
    }
}
