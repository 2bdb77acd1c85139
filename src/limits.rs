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

/// A scan happens this often, in seconds, where the system cannot notify us of changes.
pub const SCAN_UNWATCHED_SECONDS: u64 = 2;

/// The largest file that is mirrored from the project's folder: it passes through memory whole.
pub const MIRROR_FILE_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Objects that the mirror writes at once: enough to keep the disk busy during a first scan.
pub const MIRROR_PUTS_AT_ONCE: usize = 8;

/// The coarsest step of a file system's time stamps (FAT: 2 s), with room to spare.
pub const MTIME_GRAIN_MS: i64 = 3_000;
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

/// How long `InvokeRestApi` waits for Airflow (MWAA user guide, "Using the Apache Airflow REST API").
pub const REST_CALL_MAX_SECONDS: u64 = 10;

/// The longest answer of Airflow's that `InvokeRestApi` passes on (the same page).
pub const REST_RESPONSE_MAX_BYTES: usize = 6 * 1024 * 1024;

/// The longest `NextToken` (MWAA's service model).
pub const PAGE_TOKEN_MAX_CHARACTERS: usize = 2048;

/// Until an environment that was lost is launched again; doubled for each time that this fails.
pub const RECOVERY_WAIT_SECONDS: u64 = 10;

/// The longest of these waits: who has mended the cause does not wait for ever, and a broken machine is left alone.
pub const RECOVERY_WAIT_MAX_SECONDS: u64 = 10 * 60;

/// What a launch says about itself before its end: a snapshot begun, a snapshot done.
pub const LAUNCH_FACTS_KEPT: usize = 8;

/// The longest `LastUpdate.Error.ErrorMessage` (MWAA API reference, `UpdateError`).
pub const ERROR_MESSAGE_MAX_CHARACTERS: usize = 1_024;

/// The longest Airflow user name; MWAA hashes longer ones (MWAA API reference, `AirflowIdentity`).
pub const AIRFLOW_IDENTITY_MAX_CHARACTERS: usize = 64;
/// Requests to the console's API are a command line, at most.
pub const CONSOLE_BODY_MAX_BYTES: usize = 1024 * 1024;

/// How long `windtunnel airflow -- …` may run: the person who waits can stop it; an hour ends what nobody waits for.
pub const CONSOLE_COMMAND_SECONDS: u64 = 60 * 60;

/// Events that a reader of the console's stream is sent at once.
pub const EVENTS_BATCH: u32 = 500;

/// A quiet event stream says something this often, so that both sides notice when the other has gone.
pub const EVENTS_KEEPALIVE_SECONDS: u64 = 15;
/// Objects up to this size lie in their row of the index: one write and no file for a typical DAG or log line.
pub const INLINE_MAX_BYTES: usize = 16 * 1024;

/// Object bytes are written to and read from files in batches of this size: fewer hops between threads.
pub const BLOB_BATCH_BYTES: usize = 512 * 1024;

/// Keys, versions, parts, uploads or buckets on one page of a listing (S3 API reference, `MaxKeys`).
pub const LIST_PAGE_MAX: usize = 1000;

/// Part numbers of a multipart upload run from 1 to this (S3 user guide, "Multipart upload limits").
pub const PARTS_MAX: u16 = 10_000;

/// Every part but the last is at least this large when an upload is completed (the same page).
pub const PART_MIN_BYTES: u64 = 5 * 1024 * 1024;

/// A single put or copy (S3 user guide, "Uploading objects").
pub const OBJECT_PUT_MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Names and values of `x-amz-meta-*` together (S3 user guide, "Working with object metadata").
pub const USER_METADATA_MAX_BYTES: usize = 2 * 1024;

/// XML bodies of S3 requests: 1,000 keys of 1,024 bytes, or 10,000 parts, with room for their tags.
pub const S3_XML_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Objects in one `DeleteObjects` request (S3 API reference).
pub const DELETE_OBJECTS_MAX: usize = 1000;

/// A chunk's head or a trailer line of an `aws-chunked` body: the signed ones are about 90 bytes.
pub const CHUNK_LINE_MAX_BYTES: usize = 4 * 1024;

/// How long a completed upload's answer is kept for a client that asks again, in milliseconds: a day.
pub const COMPLETED_UPLOAD_LIFE_MS: i64 = 24 * 60 * 60 * 1000;

/// Readings of dag files that run at once: two, so that a slow import does not hold up a quick one.
pub const PARSES_AT_ONCE: usize = 2;

/// How often Airflow is asked to read a file before its own scan is left to do it.
pub const PARSE_ATTEMPTS_MAX: u32 = 3;

/// Pause, in seconds, before a delivery that failed (a full disk) is tried again.
pub const DELIVERY_RETRY_SECONDS: u64 = 2;

/// The longest that a message is hidden after a receive (SQS API reference, `ChangeMessageVisibility`).
pub const VISIBILITY_MAX_SECONDS: u32 = 43_200;

/// The longest long poll. SQS allows 20 s, and so do we; but kombu's client gives up at 20 s, so we answer before.
pub const LONG_POLL_MAX_MS: u64 = 19_500;

/// How long a FIFO queue remembers a deduplication id (SQS developer guide, "Exactly-once processing").
pub const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

/// Airflow's web server listens on loopback: a connection that takes this long is not coming.
pub const UPSTREAM_CONNECT_SECONDS: u64 = 5;
/// Queues in one listing (SQS API reference, `ListQueues`).
pub const LIST_QUEUES_MAX: u32 = 1_000;

/// Entries of an SQS batch (SQS API reference, `SendMessageBatch`).
pub const BATCH_MAX_ENTRIES: usize = 10;

/// All messages of an SQS batch together (SQS developer guide, "Amazon SQS message quotas", since August 2025).
pub const BATCH_MAX_BYTES: usize = 1024 * 1024;
/// A warm interpreter takes 2 to 20 s (Airflow 3, cold disk); past this it hangs.
pub const INTERPRETER_START_MAX_SECONDS: u64 = 120;

/// A warm interpreter that `check`, `test` and `run` share ends when nobody has asked for this long: a coffee's length.
pub const WORKBENCH_IDLE_SECONDS: u64 = 15 * 60;

/// What importing one DAG file may take beyond Airflow itself, in bytes: an mw1.small component has 2 GiB.
pub const DAG_IMPORT_MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// MWAA's limit for the import of one DAG file (`core.dagbag_import_timeout`), in seconds.
pub const DAG_IMPORT_MAX_SECONDS: f64 = 30.0;

/// Imports slower than this, in seconds, are worth a word: Airflow repeats them every 30 s.
pub const DAG_IMPORT_SLOW_SECONDS: f64 = 5.0;

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

/// Fields of a form upload before its file (S3 API reference, `PostObject`: 20 KB), with room for their heads.
pub const FORM_FIELDS_MAX_BYTES: usize = 32 * 1024;

/// How metrics are kept: every point in each of these, as long as it is young enough.
// Divergence(metric-retention): minutes for 15 days and hours for 455 would be a gigabyte on a laptop.
pub const METRIC_TIERS: [MetricTier; 4] = [
    MetricTier { step_seconds: 1, kept_seconds: 3 * 3_600 },
    MetricTier { step_seconds: 60, kept_seconds: 3 * 86_400 },
    MetricTier { step_seconds: 300, kept_seconds: 15 * 86_400 },
    MetricTier { step_seconds: 3_600, kept_seconds: 63 * 86_400 },
];

/// Points of one width and how long they are kept.
#[derive(Clone, Copy, Debug)]
pub struct MetricTier {
    pub step_seconds: i64,
    pub kept_seconds: i64,
}

/// Points on disk, of all metrics together: some 60 bytes each. Where there are more, the oldest of each tier go early.
pub const METRIC_POINTS_MAX: i64 = 2_000_000;

/// Metrics that are known at once. An environment with a hundred DAGs has some two thousand.
pub const METRIC_SERIES_MAX: i64 = 20_000;

/// Metrics that `StatsD` may touch within one minute; more are counted and left out, however hard a DAG sends.
pub const METRIC_WINDOW_SERIES_MAX: usize = 10_000;

/// Windows that wait for a disk that takes nothing: some eight minutes of them; then the oldest are left out.
pub const METRIC_WINDOWS_WAITING_MAX: usize = 60;

/// Bins that tell of the spread of one point's values: four decades of them, 2 % wide each.
pub const METRIC_BINS_MAX: usize = 470;

/// Seconds of `StatsD` that become one fine point and one batch of writes; minutes are made of whole minutes.
pub const METRIC_FLUSH_SECONDS: i64 = 10;

/// Seconds between two looks for points and metrics that are too old.
pub const METRIC_PRUNE_SECONDS: i64 = 600;

/// The largest datagram that we read: loopback's own limit.
pub const STATSD_DATAGRAM_MAX_BYTES: usize = 65_535;

/// `StatsD` lines that are taken before other work has its turn.
pub const STATSD_BURST_DATAGRAMS: usize = 256;
/// How long, in seconds, there must have been too many workers before idle ones leave.
// Divergence(worker-idle): MWAA's leave after 2 minutes or more, and take minutes to come. Ours are forked in less than a
// second, so little is lost by letting them go.
pub const WORKERS_IDLE_SECONDS: u64 = 10;
/// Calls of one service that the console can show; older ones are forgotten.
pub const ACTIVITY_MAX_CALLS: usize = 1000;

/// Bytes that the kept calls of one service take, with their bodies.
pub const ACTIVITY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Bodies up to this size are kept with a call; larger ones, and objects' bytes, are not looked at.
pub const ACTIVITY_BODY_MAX_BYTES: u64 = 64 * 1024;

/// How long a reader of the record of calls is kept waiting for the next one.
pub const ACTIVITY_WAIT_SECONDS: u64 = 20;

/// Lines of a launch that the console keeps, per environment.
pub const LAUNCH_LINES_KEPT: usize = 2000;

/// The end of a log file that the console shows.
pub const CONSOLE_LOG_TAIL_BYTES: u64 = 256 * 1024;

/// An upload through the console: it streams to the disk, so this guards that alone.
pub const CONSOLE_UPLOAD_MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// How long a link that opens the console may be used, once.
pub const CONSOLE_LINK_SECONDS: i64 = 60;
/// What `windtunnel import` reads. An environment's description is a few kilobytes, its Airflow options included.
pub const IMPORT_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// A log event's overhead, in bytes: what every event counts beside its message (CloudWatch Logs API reference,
/// `PutLogEvents`).
pub const LOG_EVENT_OVERHEAD_BYTES: usize = 26;

/// All events of one `PutLogEvents`, overhead included, and each one's own largest size (the same page).
pub const LOG_BATCH_MAX_BYTES: usize = 1024 * 1024;

/// Events in one `PutLogEvents`, and on one page of `GetLogEvents` and `FilterLogEvents` (the same reference).
pub const LOG_EVENTS_MAX: u32 = 10_000;

/// From the first to the last event of one `PutLogEvents`, in milliseconds (the same page).
pub const LOG_BATCH_SPAN_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// Events further ahead than this, in milliseconds, are rejected (the same page).
pub const LOG_AHEAD_MAX_MS: i64 = 2 * 60 * 60 * 1000;

/// Events older than this, in milliseconds, are rejected (the same page).
pub const LOG_BEHIND_MAX_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// Log groups or streams on one page (CloudWatch Logs API reference, `DescribeLogGroups`).
pub const LOG_NAMES_MAX: u32 = 50;

/// Brackets within brackets in one filter pattern.
pub const LOG_PATTERN_DEPTH_MAX: usize = 32;

/// All log events together. The oldest of the largest group go first: a laptop's disk is not CloudWatch.
pub const LOGS_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Events that one look through a group reads before it lets other readers go on: some 10 ms.
pub const LOG_SCAN_EVENTS: u32 = 5_000;

/// Message bytes that one look through a group, or one page, holds in memory.
pub const LOG_SCAN_BYTES: usize = 4 * 1024 * 1024;

/// Looks through a group for one page of a search. A search that found little by then answers with a token.
pub const LOG_SCANS_MAX: u32 = 40;

/// Expired log events are looked for this often, in seconds.
pub const LOG_SWEEP_SECONDS: u64 = 60 * 60;

/// Expired log events that are removed in one transaction: writers wait behind it.
pub const LOG_SWEEP_EVENTS: u32 = 5_000;

/// Between two words to the journal about new lines of log streams, in milliseconds.
pub const LOGS_ANNOUNCED_EVERY_MS: u64 = 500;

/// The longest filter pattern (CloudWatch Logs API reference, `FilterLogEvents`).
pub const LOG_PATTERN_MAX_CHARACTERS: usize = 1_024;

/// A live tail ends after this, in seconds (CloudWatch Logs API reference, `StartLiveTail`).
pub const LIVE_TAIL_MAX_SECONDS: u64 = 3 * 60 * 60;

/// Between two updates of a live tail, in milliseconds (the same page).
pub const LIVE_TAIL_UPDATE_MS: u64 = 1_000;

/// Events in one update of a live tail; it says that it left some out beyond (the same page).
pub const LIVE_TAIL_EVENTS_MAX: usize = 500;

/// Values in one PutMetricData, in one of its data, and dimensions (CloudWatch API reference, `PutMetricData`).
pub const PUT_DATA_MAX: usize = 1_000;
pub const DATUM_VALUES_MAX: usize = 150;
pub const DATUM_DIMENSIONS_MAX: usize = 30;

/// How old a value may be, and how far ahead of the time (CloudWatch API reference, `MetricDatum`).
pub const DATUM_PAST_MAX_MS: i64 = 14 * 86_400_000;
pub const DATUM_FUTURE_MAX_MS: i64 = 2 * 3_600_000;

/// Metrics in one page of ListMetrics, and how long one is listed after its last value.
pub const LIST_METRICS_MAX: usize = 500;
pub const LIST_METRICS_AGE_MS: i64 = 14 * 86_400_000;

/// Points in one GetMetricStatistics; queries and points in one GetMetricData (CloudWatch API reference).
pub const STATISTICS_POINTS_MAX: i64 = 1_440;
pub const METRIC_QUERIES_MAX: usize = 500;
pub const METRIC_DATA_POINTS_MAX: u32 = 100_800;

/// Points and series of one chart of the console: more cannot be told apart on a screen.
pub const CHART_POINTS_MAX: i64 = 3_000;
pub const CHART_SERIES_MAX: usize = 100;
/// The most of a component's log that stays on disk, in bytes, once its lines are in the log store.
pub const COMPONENT_LOG_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Its end that is kept all the same, for who looks at the file after a crash.
pub const COMPONENT_LOG_KEPT_BYTES: u64 = 1024 * 1024;

/// The most that stays on disk of what is said about one DAG file: there are many, and a file a day for each.
pub const PARSER_LOG_MAX_BYTES: u64 = 64 * 1024;

/// Days of what is said about DAG files that stay on disk.
pub const PARSER_LOG_DAYS: usize = 2;

/// A log file is read in pieces of this size.
pub const LOG_READ_BYTES: usize = 256 * 1024;

/// A line of a component that is longer is cut here: no log event may have more than 1 MiB.
pub const LINE_MAX_BYTES: usize = 256 * 1024;
