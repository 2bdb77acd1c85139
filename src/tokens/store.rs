//! The table of spent tokens.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::db::Schema;

pub(super) const SCHEMA: Schema = Schema {
    room: "tokens",
    steps: &["CREATE TABLE spent_tokens (
        id TEXT PRIMARY KEY,
        -- Seconds since the Unix epoch; the token is refused for its age from then on.
        expires_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX spent_tokens_by_age ON spent_tokens (expires_s)"],
};

/// The ids of all that are spent, with their expiry in seconds.
pub(super) fn spent(connection: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    connection
        .prepare_cached("SELECT id, expires_s FROM spent_tokens")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Notes that a token is spent, and forgets those that are late. Whether it was not noted before.
pub(super) fn spend(
    connection: &Connection,
    id: &str,
    (expires_s, now_s): (i64, i64),
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM spent_tokens WHERE expires_s <= ?1")?
        .execute([now_s])?;
    let noted = connection
        .prepare_cached("INSERT OR IGNORE INTO spent_tokens (id, expires_s) VALUES (?1, ?2)")?
        .execute((id, expires_s))?;
    Ok(noted == 1)
}
