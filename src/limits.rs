//! Every number that AWS or we impose, with its unit in its name and its reason above it.

/// Requests to the MWAA and SQS endpoints are JSON; SQS's largest message is 1 MiB, a batch of it as large.
pub const JSON_BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a CLI command may print before it is cut. MWAA's own limit is not published.
pub const CLI_OUTPUT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long a CLI-endpoint command may run: the load balancer in front of MWAA gives up after about a minute.
pub const CLI_DEADLINE_SECONDS: u64 = 60;

/// Commands that the CLI endpoint runs at once; MWAA answers 503 beyond about four.
pub const CLI_CONCURRENCY: usize = 4;

/// Life of CLI and web-login tokens (MWAA user guide, "Creating an Apache Airflow CLI token").
pub const TOKEN_LIFE_SECONDS: i64 = 60;

/// Life of a web session (MWAA user guide, "Accessing the Apache Airflow UI").
pub const SESSION_LIFE_SECONDS: i64 = 12 * 60 * 60;

/// MWAA's Celery queue hides a message for 12 hours; a longer task is delivered twice, there as here.
pub const CELERY_VISIBILITY_SECONDS: u32 = 43_200;

/// Events kept in the journal; older ones are dropped, and a reader that is further behind starts at now.
pub const JOURNAL_MAX_EVENTS: i64 = 20_000;

/// Quiet time after a file event before a scan, in milliseconds: editors write a file in several steps.
pub const SCAN_QUIET_MS: u64 = 40;

/// A scan starts after this many milliseconds however busy the folder is.
pub const SCAN_LATEST_MS: u64 = 500;

/// A scan happens this often, in seconds, even when nothing was notified: notifications are hints.
pub const SCAN_INTERVAL_SECONDS: u64 = 30;

/// A startup script's time (MWAA: 295 s and 5 s of patience).
pub const STARTUP_SCRIPT_MAX_SECONDS: u64 = 295;

/// What plugins.zip may unpack to: more is taken for a zip bomb. MWAA's containers have 20 GB of disk in all.
pub const PLUGINS_MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Requests that wait for one environment's driver. It answers at once, so this is only ever a burst; a sender
/// beyond it waits.
pub const ENVIRONMENT_ASKS_MAX: usize = 64;

/// Words of launches kept for a listener that is slow to read them; it misses the oldest ones beyond.
pub const LAUNCH_REPORTS_KEPT: usize = 1_024;

/// How long components have to stop before they are stopped by force: celery hands back what it has not begun.
pub const STOP_GRACE_SECONDS: u64 = 10;

/// How long a driver waits before it tries to write a fact to disk again: the disk may have room by then.
pub const PERSIST_RETRY_SECONDS: u64 = 1;

/// A CLI-endpoint body is one command line. A variable's value may be long; MWAA's own limit is not published.
pub const CLI_BODY_MAX_BYTES: usize = 1024 * 1024;

/// A login form carries one token.
pub const LOGIN_BODY_MAX_BYTES: usize = 16 * 1024;

/// Environments in a page of ListEnvironments, and the default (MWAA API reference).
pub const ENVIRONMENTS_PAGE_MAX: u32 = 25;

/// The longest `LastUpdate.Error.ErrorMessage` (MWAA API reference, UpdateError).
pub const ERROR_MESSAGE_MAX_CHARACTERS: usize = 1_024;

/// The longest Airflow user name; MWAA hashes longer ones (MWAA API reference, AirflowIdentity).
pub const AIRFLOW_IDENTITY_MAX_CHARACTERS: usize = 64;

/// Airflow's web server listens on loopback: a connection that takes this long is not coming.
pub const UPSTREAM_CONNECT_SECONDS: u64 = 5;
