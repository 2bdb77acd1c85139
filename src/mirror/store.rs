//! The table of what was last mirrored.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::scan::Digest;
use crate::db::Schema;
use crate::id::{BucketName, ObjectKey};

pub(super) const SCHEMA: Schema = Schema {
    room: "mirror",
    steps: &["CREATE TABLE mirrored (
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (bucket, key)
    ) STRICT, WITHOUT ROWID"],
};

pub(super) fn base(
    connection: &Connection,
    bucket: &BucketName,
) -> rusqlite::Result<BTreeMap<ObjectKey, Digest>> {
    let mut statement =
        connection.prepare_cached("SELECT key, digest FROM mirrored WHERE bucket = ?1")?;
    let rows = statement.query_map([bucket.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?))
    })?;
    let mut base = BTreeMap::new();
    for row in rows {
        let (key, digest) = row?;
        base.insert(ObjectKey::parse(key).expect("only keys were recorded"), Digest(digest));
    }
    Ok(base)
}

pub(super) fn record(
    connection: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
    digest: Digest,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO mirrored (bucket, key, digest) VALUES (?1, ?2, ?3)",
        )?
        .execute((bucket.as_str(), key.as_str(), digest.0))?;
    Ok(())
}

pub(super) fn forget(
    connection: &Connection,
    bucket: &BucketName,
    key: &ObjectKey,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM mirrored WHERE bucket = ?1 AND key = ?2")?
        .execute((bucket.as_str(), key.as_str()))?;
    Ok(())
}
