//! windtunnel as a client sees it: the real binary on free ports, real clients, real Airflow.
//!
//! Tests that need Airflow take turns ([`support::airflow_turn`]): two stacks at once only make both slow on a laptop.
//! The first of them installs Airflow into a cache that all of them share; nothing else is shared between tests.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests start programs, read their own environment, and print the figures they measure"
)]

mod check;
mod cli;
mod console;
mod crash;
mod door;
mod environments;
mod history;
mod identities;
mod journeys;
mod logs;
mod metrics;
mod mistakes;
mod mwaa;
mod operators;
mod readme;
mod restarts;
mod s3;
mod s3_conformance;
mod s3_kill;
mod s3_load;
mod sqs;
mod support;
mod test_loop;
mod users;
mod versions;
mod workers;
