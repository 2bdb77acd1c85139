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
