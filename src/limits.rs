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

/// The longest life of a presigned request: seven days (S3 API reference, "Authenticating requests: query parameters").
pub const PRESIGNED_MAX_SECONDS: i64 = 604_800;

/// A warm interpreter takes 2 to 20 s (Airflow 3, cold disk); past this it hangs.
pub const INTERPRETER_START_MAX_SECONDS: u64 = 120;

/// The largest frame we take from the warm interpreter: a parse of thousands of files.
pub const INTERPRETER_FRAME_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Every component up and healthy, on a machine that is busy with other things. MWAA takes minutes.
pub const COMPONENTS_START_MAX_SECONDS: u64 = 180;

/// A component that ends this often before the environment is healthy will not become so.
pub const COMPONENT_START_ATTEMPTS: u32 = 3;

/// Between two starts of a component that keeps ending, in seconds. The wait doubles from one second.
pub const RESTART_WAIT_MAX_SECONDS: u64 = 30;

/// A component that ran this long, in seconds, is started again at once when it ends.
pub const RESTART_FORGIVEN_AFTER_SECONDS: u64 = 60;

/// Ends of the interpreter or the database in a row after which an environment counts as lost.
pub const RESTARTS_BEFORE_LOST: u32 = 5;

/// The last lines of a log that are shown with an error.
pub const LOG_TAIL_BYTES: u64 = 8 * 1024;
