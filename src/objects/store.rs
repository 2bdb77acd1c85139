//! All SQL of the object store. Functions of a connection; the caller has the transaction.
//!
//! Keys are blobs, so that `SQLite` orders them by their bytes, as S3 lists them.

use std::collections::HashSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blob::{BlobName, Stretch};
use super::checksum::{Algorithm, Checksum, Span};
use super::{Bucket, Lock, Metadata, Rule, Settings, Version, Versioning};
use crate::clock::Timestamp;
use crate::db::Schema;
use crate::id::{BucketName, ObjectKey, Region, VersionId};

pub(super) const SCHEMA: Schema = Schema {
    room: "objects",
    steps: &["
    CREATE TABLE buckets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        region TEXT NOT NULL,
        owner TEXT NOT NULL,
        versioning TEXT NOT NULL DEFAULT 'never',
        created_ms INTEGER NOT NULL
    ) STRICT;

    -- One row per version and per delete marker. `inline` is last: a listing does not read that far.
    CREATE TABLE versions (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        bucket INTEGER NOT NULL REFERENCES buckets (id),
        key BLOB NOT NULL,
        version TEXT NOT NULL,
        latest INTEGER NOT NULL,
        marker INTEGER NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        owner TEXT NOT NULL,
        algorithm TEXT,
        span TEXT,
        checksum TEXT,
        metadata TEXT NOT NULL,
        parts INTEGER,
        blob TEXT,
        inline BLOB
    ) STRICT;
    CREATE UNIQUE INDEX versions_by_id ON versions (bucket, key, version);
    CREATE UNIQUE INDEX versions_latest ON versions (bucket, key) WHERE latest = 1;
    CREATE INDEX versions_in_order ON versions (bucket, key, sequence DESC);
    CREATE INDEX versions_by_blob ON versions (blob) WHERE blob IS NOT NULL;

    -- The bytes of a multipart object, part by part.
    CREATE TABLE pieces (
        sequence INTEGER NOT NULL REFERENCES versions (sequence) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        size INTEGER NOT NULL,
        checksum BLOB,
        blob TEXT,
        inline BLOB,
        PRIMARY KEY (sequence, part)
    ) STRICT;
    CREATE INDEX pieces_by_blob ON pieces (blob) WHERE blob IS NOT NULL;

    -- Uploads under way, and for a while the completed ones with their answer.
    CREATE TABLE uploads (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        bucket INTEGER NOT NULL REFERENCES buckets (id) ON DELETE CASCADE,
        key BLOB NOT NULL,
        initiated_ms INTEGER NOT NULL,
        owner TEXT NOT NULL,
        metadata TEXT NOT NULL,
        algorithm TEXT,
        span TEXT,
        completed_ms INTEGER,
        answer TEXT
    ) STRICT;
    CREATE INDEX uploads_by_key ON uploads (bucket, key, number);
    CREATE TABLE parts (
        upload INTEGER NOT NULL REFERENCES uploads (number) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        size INTEGER NOT NULL,
        md5 BLOB NOT NULL,
        algorithm TEXT NOT NULL,
        checksum BLOB NOT NULL,
        modified_ms INTEGER NOT NULL,
        blob TEXT,
        inline BLOB,
        PRIMARY KEY (upload, part)
    ) STRICT;
    CREATE INDEX parts_by_blob ON parts (blob) WHERE blob IS NOT NULL;
    ", "
    -- What a bucket was told, as a text; none where it was told to be without.
    CREATE TABLE settings (
        bucket INTEGER NOT NULL REFERENCES buckets (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value TEXT,
        PRIMARY KEY (bucket, name)
    ) STRICT, WITHOUT ROWID;
    -- Object lock and lifecycle rules in words of our own, as JSON.
    ALTER TABLE buckets ADD COLUMN lock TEXT;
    ALTER TABLE buckets ADD COLUMN rules TEXT;
    "],
};

/// A bucket's row.
#[derive(Clone, Debug)]
pub(super) struct BucketRow {
    pub(super) id: i64,
    pub(super) bucket: Bucket,
}

/// A value that the schema does not allow: somebody else wrote into our file.
pub(super) fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a word of this schema")]
pub(super) struct Unknown(pub(super) String);

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what the index keeps is plain data")
}

pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<ObjectKey> {
    let text = String::from_utf8(row.get(column)?).map_err(|error| unreadable(column, error))?;
    ObjectKey::parse(text).map_err(|error| unreadable(column, error))
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

pub(super) fn span_name(span: Span) -> &'static str {
    match span {
        Span::FullObject => "full",
        Span::Composite => "composite",
    }
}

pub(super) fn span(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Span>> {
    match row.get::<_, Option<String>>(column)?.as_deref() {
        None => Ok(None),
        Some("full") => Ok(Some(Span::FullObject)),
        Some("composite") => Ok(Some(Span::Composite)),
        Some(other) => Err(unreadable(column, Unknown(other.to_owned()))),
    }
}

pub(super) fn algorithm(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Algorithm>> {
    let Some(name) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    let known = Algorithm::named(&name);
    known.map(Some).ok_or_else(|| unreadable(column, Unknown(name)))
}

// ---- buckets

const BUCKET: &str = "id, name, region, owner, versioning, created_ms, lock";

fn bucket_of(row: &Row<'_>) -> rusqlite::Result<BucketRow> {
    let name: String = row.get(1)?;
    let region: String = row.get(2)?;
    let versioning: String = row.get(4)?;
    let bucket = Bucket {
        name: BucketName::parse(name).map_err(|error| unreadable(1, error))?,
        region: Region::parse(region).map_err(|error| unreadable(2, error))?,
        owner: row.get(3)?,
        versioning: match versioning.as_str() {
            "never" => Versioning::Never,
            "enabled" => Versioning::Enabled,
            "suspended" => Versioning::Suspended,
            _ => return Err(unreadable(4, Unknown(versioning))),
        },
        created: Timestamp::from_millis(row.get(5)?),
        lock: match row.get::<_, Option<String>>(6)? {
            None => None,
            Some(text) => serde_json::from_str(&text).map_err(|error| unreadable(6, error))?,
        },
    };
    Ok(BucketRow { id: row.get(0)?, bucket })
}

fn versioning_name(versioning: Versioning) -> &'static str {
    match versioning {
        Versioning::Never => "never",
        Versioning::Enabled => "enabled",
        Versioning::Suspended => "suspended",
    }
}

pub(super) fn bucket(
    connection: &Connection,
    name: &BucketName,
) -> rusqlite::Result<Option<BucketRow>> {
    let sql = format!("SELECT {BUCKET} FROM buckets WHERE name = ?1");
    connection.prepare_cached(&sql)?.query_row([name.as_str()], bucket_of).optional()
}

pub(super) fn buckets(connection: &Connection) -> rusqlite::Result<Vec<BucketRow>> {
    let sql = format!("SELECT {BUCKET} FROM buckets ORDER BY name");
    connection.prepare_cached(&sql)?.query_map([], bucket_of)?.collect()
}

/// Answers the new row's number.
pub(super) fn insert_bucket(connection: &Connection, bucket: &Bucket) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO buckets (name, region, owner, versioning, created_ms, lock)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            bucket.name.as_str(),
            bucket.region.as_str(),
            bucket.owner,
            versioning_name(bucket.versioning),
            bucket.created.as_millis(),
            bucket.lock.as_ref().map(to_json),
        ])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn set_lock(connection: &Connection, bucket: i64, lock: Lock) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE buckets SET lock = ?2 WHERE id = ?1")?
        .execute((bucket, to_json(&lock)))
        .map(drop)
}

pub(super) fn set_rules(
    connection: &Connection,
    bucket: i64,
    rules: &[Rule],
) -> rusqlite::Result<()> {
    let text = Some(rules).filter(|rules| !rules.is_empty()).map(|rules| to_json(&rules));
    connection
        .prepare_cached("UPDATE buckets SET rules = ?2 WHERE id = ?1")?
        .execute((bucket, text))
        .map(drop)
}

/// The buckets that have lifecycle rules, with them.
pub(super) fn all_rules(connection: &Connection) -> rusqlite::Result<Vec<(BucketName, Vec<Rule>)>> {
    connection
        .prepare_cached("SELECT name, rules FROM buckets WHERE rules IS NOT NULL ORDER BY name")?
        .query_map([], |row| {
            let name: String = row.get(0)?;
            Ok((BucketName::parse(name).map_err(|error| unreadable(0, error))?, json(row, 1)?))
        })?
        .collect()
}

pub(super) fn settings(connection: &Connection, bucket: i64) -> rusqlite::Result<Settings> {
    connection
        .prepare_cached("SELECT name, value FROM settings WHERE bucket = ?1")?
        .query_map([bucket], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()
        .map(Settings)
}

pub(super) fn set_setting(
    connection: &Connection,
    bucket: i64,
    name: &str,
    value: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO settings (bucket, name, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (bucket, name) DO UPDATE SET value = excluded.value",
        )?
        .execute((bucket, name, value))
        .map(drop)
}

pub(super) fn set_versioning(
    connection: &Connection,
    bucket: i64,
    versioning: Versioning,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE buckets SET versioning = ?2 WHERE id = ?1")?
        .execute((bucket, versioning_name(versioning)))
        .map(drop)
}

pub(super) fn has_versions(connection: &Connection, bucket: i64) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM versions WHERE bucket = ?1 LIMIT 1")?.exists([bucket])
}

/// Removes a bucket without versions, with its uploads. Answers the blobs that nothing names any more.
pub(super) fn delete_bucket(
    connection: &Connection,
    bucket: i64,
) -> rusqlite::Result<Vec<BlobName>> {
    let blobs = names(
        connection,
        "SELECT blob FROM parts JOIN uploads ON upload = number
         WHERE bucket = ?1 AND blob IS NOT NULL",
        bucket,
    )?;
    connection.prepare_cached("DELETE FROM buckets WHERE id = ?1")?.execute([bucket])?;
    unnamed(connection, blobs)
}

// ---- blobs

pub(super) fn names(
    connection: &Connection,
    sql: &str,
    of: i64,
) -> rusqlite::Result<Vec<BlobName>> {
    connection.prepare_cached(sql)?.query_map([of], |row| row.get(0))?.collect()
}

/// Those of `blobs` that no row names.
pub(super) fn unnamed(
    connection: &Connection,
    blobs: Vec<BlobName>,
) -> rusqlite::Result<Vec<BlobName>> {
    let mut named = connection.prepare_cached(
        "SELECT 1 FROM versions WHERE blob = ?1 UNION ALL SELECT 1 FROM pieces WHERE blob = ?1
         UNION ALL SELECT 1 FROM parts WHERE blob = ?1",
    )?;
    let mut gone = Vec::new();
    for blob in blobs {
        if !named.exists([&blob])? {
            gone.push(blob);
        }
    }
    Ok(gone)
}

/// Every blob that a row names.
pub(super) fn all_blobs(connection: &Connection) -> rusqlite::Result<HashSet<BlobName>> {
    connection
        .prepare(
            "SELECT blob FROM versions WHERE blob IS NOT NULL
             UNION ALL SELECT blob FROM pieces WHERE blob IS NOT NULL
             UNION ALL SELECT blob FROM parts WHERE blob IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

// ---- versions

/// The columns of a version, for [`version_of`].
pub(super) const VERSION: &str = "sequence, key, version, latest, marker, size, etag, modified_ms, \
                                  owner, algorithm, span, checksum, metadata, parts";

pub(super) fn version_of(row: &Row<'_>, bucket: &BucketName) -> rusqlite::Result<Version> {
    let id: String = row.get(2)?;
    let value: Option<String> = row.get(11)?;
    let checksum = match (algorithm(row, 9)?, span(row, 10)?, value) {
        (Some(algorithm), Some(span), Some(value)) => Some(Checksum { algorithm, span, value }),
        _ => None,
    };
    Ok(Version {
        bucket: bucket.clone(),
        key: key(row, 1)?,
        id: VersionId::parse(id).map_err(|error| unreadable(2, error))?,
        sequence: row.get(0)?,
        is_latest: row.get(3)?,
        is_delete_marker: row.get(4)?,
        size_bytes: unsigned(row, 5)?,
        etag: row.get(6)?,
        modified: Timestamp::from_millis(row.get(7)?),
        owner: row.get(8)?,
        checksum,
        metadata: json(row, 12)?,
        parts: row.get(13)?,
    })
}

pub(super) fn latest(
    connection: &Connection,
    bucket: &BucketRow,
    key: &ObjectKey,
) -> rusqlite::Result<Option<Version>> {
    let sql =
        format!("SELECT {VERSION} FROM versions WHERE bucket = ?1 AND key = ?2 AND latest = 1");
    connection
        .prepare_cached(&sql)?
        .query_row((bucket.id, key.as_str().as_bytes()), |row| version_of(row, &bucket.bucket.name))
        .optional()
}

pub(super) fn by_id(
    connection: &Connection,
    bucket: &BucketRow,
    key: &ObjectKey,
    id: &VersionId,
) -> rusqlite::Result<Option<Version>> {
    let sql =
        format!("SELECT {VERSION} FROM versions WHERE bucket = ?1 AND key = ?2 AND version = ?3");
    connection
        .prepare_cached(&sql)?
        .query_row((bucket.id, key.as_str().as_bytes(), id.as_str()), |row| {
            version_of(row, &bucket.bucket.name)
        })
        .optional()
}

/// The bytes of a version that is one piece.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Inline(Bytes),
    Blob(BlobName),
}

impl Body {
    pub(super) fn columns(&self) -> (Option<&str>, Option<&[u8]>) {
        match self {
            Body::None => (None, None),
            Body::Inline(bytes) => (None, Some(bytes)),
            Body::Blob(name) => (Some(name), None),
        }
    }

    fn stretch(self, size_bytes: u64) -> Option<Stretch> {
        match self {
            Body::None => None,
            Body::Inline(bytes) => Some(Stretch::Memory(bytes)),
            Body::Blob(name) => Some(Stretch::Blob { name, range: 0..size_bytes }),
        }
    }
}

fn body(row: &Row<'_>, blob: usize, inline: usize) -> rusqlite::Result<Body> {
    if let Some(name) = row.get(blob)? {
        return Ok(Body::Blob(name));
    }
    let inline: Option<Vec<u8>> = row.get(inline)?;
    Ok(inline.map_or(Body::None, |bytes| Body::Inline(bytes.into())))
}

/// The body of a version of one piece; `None` when the version is gone.
pub(super) fn body_of(connection: &Connection, sequence: i64) -> rusqlite::Result<Option<Body>> {
    connection
        .prepare_cached("SELECT blob, inline FROM versions WHERE sequence = ?1")?
        .query_row([sequence], |row| body(row, 0, 1))
        .optional()
}

/// Where the bytes of a version lie, in order; `None` when the version is gone.
pub(super) fn stretches(
    connection: &Connection,
    version: &Version,
) -> rusqlite::Result<Option<Vec<Stretch>>> {
    let Some(whole) = body_of(connection, version.sequence)? else { return Ok(None) };
    if version.parts.is_none() {
        return Ok(Some(whole.stretch(version.size_bytes).into_iter().collect()));
    }
    let mut rows = connection.prepare_cached(
        "SELECT size, blob, inline FROM pieces WHERE sequence = ?1 ORDER BY part",
    )?;
    let pieces = rows.query_map([version.sequence], |row| {
        let size = unsigned(row, 0)?;
        Ok(body(row, 1, 2)?.stretch(size))
    })?;
    pieces.filter_map(Result::transpose).collect::<rusqlite::Result<_>>().map(Some)
}

/// A part of a finished multipart object: its number in the object counts from 1 without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub number: u32,
    pub size_bytes: u64,
    /// The digest of the part with the object's algorithm.
    pub digest: Option<Vec<u8>>,
}

pub(super) fn pieces(connection: &Connection, sequence: i64) -> rusqlite::Result<Vec<Piece>> {
    connection
        .prepare_cached(
            "SELECT part, size, checksum FROM pieces WHERE sequence = ?1 ORDER BY part",
        )?
        .query_map([sequence], |row| {
            Ok(Piece { number: row.get(0)?, size_bytes: unsigned(row, 1)?, digest: row.get(2)? })
        })?
        .collect()
}

/// A version about to be. The store gives it its id and its place in the order.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) key: ObjectKey,
    pub(super) marker: bool,
    pub(super) size_bytes: u64,
    pub(super) etag: String,
    pub(super) owner: String,
    pub(super) checksum: Option<Checksum>,
    pub(super) metadata: Metadata,
    pub(super) parts: Option<u32>,
    pub(super) body: Body,
    pub(super) at: Timestamp,
}

pub(super) fn set_metadata(
    connection: &Connection,
    sequence: i64,
    metadata: &Metadata,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE versions SET metadata = ?2 WHERE sequence = ?1")?
        .execute((sequence, to_json(metadata)))
        .map(drop)
}

/// Puts a version on top of its key, as the bucket's versioning wants it. Answers it, and the blobs set free.
pub(super) fn push(
    connection: &Connection,
    bucket: &BucketRow,
    new: New,
) -> rusqlite::Result<(Version, Vec<BlobName>)> {
    let id = match bucket.bucket.versioning {
        Versioning::Enabled => VersionId::random(),
        Versioning::Never | Versioning::Suspended => VersionId::null(),
    };
    let mut freed = Vec::new();
    if bucket.bucket.versioning != Versioning::Enabled
        && let Some(replaced) = by_id(connection, bucket, &new.key, &id)?
    {
        freed = remove(connection, replaced.sequence)?;
    }
    connection
        .prepare_cached(
            "UPDATE versions SET latest = 0 WHERE bucket = ?1 AND key = ?2 AND latest = 1",
        )?
        .execute((bucket.id, new.key.as_str().as_bytes()))?;
    let (blob, inline) = new.body.columns();
    let checksum = new.checksum.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO versions (bucket, key, version, latest, marker, size, etag, modified_ms,
                 owner, algorithm, span, checksum, metadata, parts, blob, inline)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            bucket.id,
            new.key.as_str().as_bytes(),
            id.as_str(),
            new.marker,
            new.size_bytes.cast_signed(),
            new.etag,
            new.at.as_millis(),
            new.owner,
            checksum.map(|checksum| checksum.algorithm.name()),
            checksum.map(|checksum| span_name(checksum.span)),
            checksum.map(|checksum| checksum.value.as_str()),
            to_json(&new.metadata),
            new.parts,
            blob,
            inline,
        ])?;
    let version = Version {
        bucket: bucket.bucket.name.clone(),
        key: new.key,
        id,
        sequence: connection.last_insert_rowid(),
        is_delete_marker: new.marker,
        is_latest: true,
        size_bytes: new.size_bytes,
        etag: new.etag,
        modified: new.at,
        metadata: new.metadata,
        owner: new.owner,
        checksum: new.checksum,
        parts: new.parts,
    };
    Ok((version, freed))
}

/// Removes one version. What lay below it is not promoted: see [`promote`].
pub(super) fn remove(connection: &Connection, sequence: i64) -> rusqlite::Result<Vec<BlobName>> {
    let mut blobs = names(
        connection,
        "SELECT blob FROM versions WHERE sequence = ?1 AND blob IS NOT NULL",
        sequence,
    )?;
    blobs.extend(names(
        connection,
        "SELECT blob FROM pieces WHERE sequence = ?1 AND blob IS NOT NULL",
        sequence,
    )?);
    connection.prepare_cached("DELETE FROM versions WHERE sequence = ?1")?.execute([sequence])?;
    unnamed(connection, blobs)
}

/// Makes the newest version that is left of a key the current one, and answers it.
pub(super) fn promote(
    connection: &Connection,
    bucket: &BucketRow,
    key: &ObjectKey,
) -> rusqlite::Result<Option<Version>> {
    connection
        .prepare_cached(
            "UPDATE versions SET latest = 1 WHERE sequence =
                 (SELECT sequence FROM versions WHERE bucket = ?1 AND key = ?2
                  ORDER BY sequence DESC LIMIT 1)",
        )?
        .execute((bucket.id, key.as_str().as_bytes()))?;
    latest(connection, bucket, key)
}

/// Runs along the versions of a bucket in listing order, from `from` on, until `visit` says where else to go on or
/// to stop.
///
pub(super) fn scan(
    connection: &Connection,
    along: &Along<'_>,
    mut visit: impl FnMut(Version) -> Step,
) -> rusqlite::Result<Step> {
    // The index is named: with the other one, a listing of objects would walk through all their old versions.
    let sql = match along.only {
        Only::Objects => format!(
            "SELECT {VERSION} FROM versions INDEXED BY versions_latest
             WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND latest = 1 AND marker = 0
               AND NOT (key = ?2 AND sequence >= ?4)
             ORDER BY key"
        ),
        Only::Everything => format!(
            "SELECT {VERSION} FROM versions INDEXED BY versions_in_order
             WHERE bucket = ?1 AND key >= ?2 AND key < ?3 AND NOT (key = ?2 AND sequence >= ?4)
             ORDER BY key, sequence DESC"
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let parameters: [&dyn ToSql; 4] = [&along.bucket.id, &along.from.0, &along.end, &along.from.1];
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        match visit(version_of(row, &along.bucket.bucket.name)?) {
            Step::Next => {}
            step @ (Step::Seek(_) | Step::Stop) => return Ok(step),
        }
    }
    Ok(Step::Stop)
}

/// Where a [`scan`] goes along.
#[derive(Clone, Debug)]
pub(super) struct Along<'a> {
    pub(super) bucket: &'a BucketRow,
    pub(super) only: Only,
    /// A key, and the sequence below which versions of that very key are wanted.
    pub(super) from: (Vec<u8>, i64),
    /// The first key not to be looked at.
    pub(super) end: Vec<u8>,
}

/// What a [`scan`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// Current versions that are objects.
    Objects,
    /// Every version and delete marker.
    Everything,
}

/// How a [`scan`] goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    /// At this key, leaving out what lies between.
    Seek(Vec<u8>),
    Stop,
}
