//! The only rooms that know how AWS, and our own UI, put things in JSON and XML.

pub mod cloudwatch;
pub mod cloudwatch_logs;
pub mod console;
pub mod mwaa;
pub mod s3;
pub mod sqs;
pub mod webserver;
pub mod wire;
