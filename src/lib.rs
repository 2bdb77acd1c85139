//! windtunnel: Amazon MWAA on a laptop.
//!
//! Rooms in reading order, from what a person types down to what everything stands on:
//!
//! - [`cli`]: a file per verb. `up` runs the daemon; every other verb is an HTTP client of a running one.
//! - [`daemon`]: builds each room once, owns the tasks, shuts down in reverse order.
//! - [`gateway`]: listeners, TLS, who may come in, which service a request is for.
//! - [`api`]: the only rooms that know how AWS (and our UI) puts things in JSON and XML.
//! - [`environment`], [`mirror`], [`delivery`], [`tokens`]: workflows; they join capabilities.
//! - [`logs`], [`metrics`], [`objects`], [`queues`], [`runtime`], [`activity`]: capabilities, strangers to one
//!   another.
//! - [`airflow`], [`db`]: what Airflow is; one SQLite file and its journal.
//! - [`id`], [`clock`], [`limits`], [`constraints`], [`config`]: names, time, numbers, what MWAA demands, settings.
//!
//! Invariants, each one something you will *not* find in the code:
//!
//! - Nothing below `api` knows how AWS speaks: no status code, header, `X-Amz-Target`, XML or JSON shape.
//! - The watched folder is read, never written. The environment's dags directory is written, never watched.
//! - Airflow is fed from the bucket, never from the folder: a saved file and a `PutObject` take the same road.
//! - No transaction outlives an `.await`. No lock is held across one.
//! - An event is announced inside the transaction that makes it true.
//! - The UI holds no truth. It fetches, and is told when to fetch again.
//! - Only `runtime` starts Airflow's processes, only `config` reads the environment, only `clock` asks the time.

pub mod activity;
pub mod airflow;
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod constraints;
pub mod daemon;
pub mod db;
pub mod delivery;
pub mod environment;
pub mod gateway;
pub mod id;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod mirror;
pub mod objects;
pub mod queues;
pub mod runtime;
pub mod tokens;
