//! Rows of multipart uploads and their parts.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Metadata;
use super::blob::BlobName;
use super::checksum::{Algorithm, Span};
use super::store::{
    Body, Step, Unknown, algorithm, json, key, names, span, span_name, to_json, unnamed,
    unreadable, unsigned,
};
use crate::clock::Timestamp;
use crate::id::ObjectKey;

/// A multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub(super) number: i64,
    /// Opaque, safe in a URL.
    pub id: String,
    pub key: ObjectKey,
    pub initiated: Timestamp,
    /// The canonical id of who began it.
    pub owner: String,
    pub metadata: Metadata,
    /// The checksum that was announced for the whole object.
    pub checksum: Option<(Algorithm, Span)>,
    /// What was answered when it was completed, as JSON.
    pub(super) answer: Option<String>,
}

/// A part of an upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    pub size_bytes: u64,
    pub(super) md5: Vec<u8>,
    pub(super) algorithm: Algorithm,
    pub(super) digest: Vec<u8>,
    pub modified: Timestamp,
}

const UPLOAD: &str = "number, id, key, initiated_ms, owner, metadata, algorithm, span, answer";

fn upload_of(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload {
        number: row.get(0)?,
        id: row.get(1)?,
        key: key(row, 2)?,
        initiated: Timestamp::from_millis(row.get(3)?),
        owner: row.get(4)?,
        metadata: json(row, 5)?,
        checksum: algorithm(row, 6)?.zip(span(row, 7)?),
        answer: row.get(8)?,
    })
}

pub(super) fn insert_upload(
    connection: &Connection,
    bucket: i64,
    upload: &Upload,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO uploads (id, bucket, key, initiated_ms, owner, metadata, algorithm, span)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            upload.id,
            bucket,
            upload.key.as_str().as_bytes(),
            upload.initiated.as_millis(),
            upload.owner,
            to_json(&upload.metadata),
            upload.checksum.map(|(algorithm, _)| algorithm.name()),
            upload.checksum.map(|(_, span)| span_name(span)),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// The upload of that id, under way or completed.
pub(super) fn upload(
    connection: &Connection,
    bucket: i64,
    key: &ObjectKey,
    id: &str,
) -> rusqlite::Result<Option<Upload>> {
    let sql = format!("SELECT {UPLOAD} FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3");
    connection
        .prepare_cached(&sql)?
        .query_row((id, bucket, key.as_str().as_bytes()), upload_of)
        .optional()
}

/// Runs along the uploads of a bucket that are under way, by key and then in the order in which they began, until
/// `visit` says where else to go on or to stop. `from` is a key, and the number above which uploads of it are wanted.
pub(super) fn scan(
    connection: &Connection,
    bucket: i64,
    (from, end): (&(Vec<u8>, i64), &[u8]),
    mut visit: impl FnMut(Upload) -> Step,
) -> rusqlite::Result<Step> {
    let sql = format!(
        "SELECT {UPLOAD} FROM uploads INDEXED BY uploads_by_key
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND completed_ms IS NULL
           AND NOT (key = ?2 AND number <= ?4)
         ORDER BY key, number"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((bucket, &from.0, end, from.1))?;
    while let Some(row) = rows.next()? {
        match visit(upload_of(row)?) {
            Step::Next => {}
            step @ (Step::Seek(_) | Step::Stop) => return Ok(step),
        }
    }
    Ok(Step::Stop)
}

/// Removes an upload with its parts. Answers the blobs that nothing names any more.
pub(super) fn delete_upload(
    connection: &Connection,
    number: i64,
) -> rusqlite::Result<Vec<BlobName>> {
    let blobs = delete_parts(connection, number)?;
    connection.prepare_cached("DELETE FROM uploads WHERE number = ?1")?.execute([number])?;
    Ok(blobs)
}

fn delete_parts(connection: &Connection, upload: i64) -> rusqlite::Result<Vec<BlobName>> {
    let blobs =
        names(connection, "SELECT blob FROM parts WHERE upload = ?1 AND blob IS NOT NULL", upload)?;
    connection.prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute([upload])?;
    unnamed(connection, blobs)
}

/// Writes a part, instead of an earlier one of that number. Answers the blobs set free.
pub(super) fn replace_part(
    connection: &Connection,
    upload: i64,
    part: &Part,
    body: &Body,
) -> rusqlite::Result<Vec<BlobName>> {
    let replaced: Option<Option<BlobName>> = connection
        .prepare_cached("DELETE FROM parts WHERE upload = ?1 AND part = ?2 RETURNING blob")?
        .query_row((upload, part.number), |row| row.get(0))
        .optional()?;
    let (blob, inline) = body.columns();
    connection
        .prepare_cached(
            "INSERT INTO parts (upload, part, size, md5, algorithm, checksum, modified_ms, blob,
                 inline)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            upload,
            part.number,
            part.size_bytes.cast_signed(),
            part.md5,
            part.algorithm.name(),
            part.digest,
            part.modified.as_millis(),
            blob,
            inline,
        ])?;
    unnamed(connection, replaced.flatten().into_iter().collect())
}

pub(super) fn parts(connection: &Connection, upload: i64) -> rusqlite::Result<Vec<Part>> {
    connection
        .prepare_cached(
            "SELECT part, size, md5, algorithm, checksum, modified_ms FROM parts
             WHERE upload = ?1 ORDER BY part",
        )?
        .query_map([upload], |row| {
            let algorithm =
                algorithm(row, 3)?.ok_or_else(|| unreadable(3, Unknown(String::new())))?;
            Ok(Part {
                number: row.get(0)?,
                size_bytes: unsigned(row, 1)?,
                md5: row.get(2)?,
                algorithm,
                digest: row.get(4)?,
                modified: Timestamp::from_millis(row.get(5)?),
            })
        })?
        .collect()
}

/// Makes parts the pieces of a version, in that order and numbered from 1.
pub(super) fn move_parts(
    connection: &Connection,
    upload: i64,
    parts: &[u16],
    sequence: i64,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO pieces (sequence, part, size, checksum, blob, inline)
         SELECT ?1, ?2, size, checksum, blob, inline FROM parts WHERE upload = ?3 AND part = ?4",
    )?;
    for (index, part) in parts.iter().enumerate() {
        let number = i64::try_from(index + 1).unwrap_or(i64::MAX);
        insert.execute((sequence, number, upload, part))?;
    }
    Ok(())
}

/// Remembers what a completed upload was answered, drops its parts and forgets answers older than `older_ms`.
pub(super) fn close_upload(
    connection: &Connection,
    upload: i64,
    answer: &str,
    (now, older_ms): (Timestamp, i64),
) -> rusqlite::Result<Vec<BlobName>> {
    connection
        .prepare_cached("UPDATE uploads SET completed_ms = ?2, answer = ?3 WHERE number = ?1")?
        .execute((upload, now.as_millis(), answer))?;
    connection
        .prepare_cached("DELETE FROM uploads WHERE completed_ms < ?1")?
        .execute([Value::Integer(now.as_millis() - older_ms)])?;
    delete_parts(connection, upload)
}
