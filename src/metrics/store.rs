//! The tables of metrics and their points.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::point::Point;
use super::series::{Dimensions, Metric, Series, Unit};
use super::tiers::{Part, floor};
use crate::db::Schema;
use crate::limits::{METRIC_SERIES_MAX, METRIC_TIERS};

pub(super) const SCHEMA: Schema = Schema {
    room: "metrics",
    steps: &["CREATE TABLE metric_series (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        -- JSON, sorted by name.
        dimensions TEXT NOT NULL,
        unit TEXT NOT NULL,
        -- Of the latest value.
        newest_s INTEGER NOT NULL,
        UNIQUE (namespace, name, dimensions, unit)
    ) STRICT;
    CREATE TABLE metric_points (
        series INTEGER NOT NULL REFERENCES metric_series ON DELETE CASCADE,
        tier INTEGER NOT NULL,
        at_s INTEGER NOT NULL,
        count REAL NOT NULL,
        sum REAL NOT NULL,
        min REAL NOT NULL,
        max REAL NOT NULL,
        -- NULL where all values are equal, empty where nothing is known of it.
        spread BLOB,
        PRIMARY KEY (series, tier, at_s)
    ) STRICT, WITHOUT ROWID"],
};

/// A series as it is kept.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) series: Series,
    pub(super) newest_s: i64,
}

fn text(dimensions: &Dimensions) -> String {
    serde_json::to_string(dimensions).expect("names and values are text")
}

/// The row of a series, made where there is none. `None` where there are too many.
pub(super) fn series_id(
    tx: &Connection,
    series: &Series,
    newest_s: i64,
) -> rusqlite::Result<Option<i64>> {
    let Series { metric: Metric { namespace, name, dimensions }, unit } = series;
    let key = params![namespace, name, text(dimensions), unit.as_str(), newest_s];
    let known = tx
        .prepare_cached(
            "UPDATE metric_series SET newest_s = max(newest_s, ?5)
             WHERE namespace = ?1 AND name = ?2 AND dimensions = ?3 AND unit = ?4 RETURNING id",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    tx.prepare_cached(
        "INSERT INTO metric_series (namespace, name, dimensions, unit, newest_s)
         SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM metric_series) < ?6 RETURNING id",
    )?
    .query_row(
        params![namespace, name, text(dimensions), unit.as_str(), newest_s, METRIC_SERIES_MAX],
        |row| row.get(0),
    )
    .optional()
}

/// Adds a point to what is kept of its moment: series, tier and second.
pub(super) fn add(
    tx: &Connection,
    (series, tier, at_s): (i64, usize, i64),
    point: &Point,
) -> rusqlite::Result<()> {
    let at_s = floor(at_s, METRIC_TIERS[tier].step_seconds);
    let tier = i64::try_from(tier).unwrap_or_default();
    let before = tx
        .prepare_cached(
            "SELECT at_s, count, sum, min, max, spread FROM metric_points
             WHERE series = ?1 AND tier = ?2 AND at_s = ?3",
        )?
        .query_row([series, tier, at_s], kept)
        .optional()?;
    let whole = match before {
        Some((_, mut before)) => {
            before.add(point);
            before
        }
        None => point.clone(),
    };
    tx.prepare_cached(
        "INSERT OR REPLACE INTO metric_points (series, tier, at_s, count, sum, min, max, spread)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        series,
        tier,
        at_s,
        whole.count,
        whole.sum,
        whole.min,
        whole.max,
        whole.spread_bytes()
    ])?;
    Ok(())
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Point)> {
    let numbers = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
    let spread: Option<Vec<u8>> = row.get(5)?;
    Ok((row.get(0)?, Point::kept(numbers, spread.as_deref())))
}

/// The points of one part of the time, oldest first.
pub(super) fn points(
    connection: &Connection,
    series: i64,
    part: Part,
) -> rusqlite::Result<Vec<(i64, Point)>> {
    let tier = i64::try_from(part.tier).unwrap_or_default();
    connection
        .prepare_cached(
            "SELECT at_s, count, sum, min, max, spread FROM metric_points
             WHERE series = ?1 AND tier = ?2 AND at_s >= ?3 AND at_s < ?4 ORDER BY at_s",
        )?
        .query_map([series, tier, part.from, part.to], kept)?
        .collect()
}

/// The points of one minute, of all series.
pub(super) fn minute(connection: &Connection, at_s: i64) -> rusqlite::Result<Vec<(Series, Point)>> {
    let mut found = Vec::new();
    for row in series(connection, None, None)?.into_iter().filter(|row| row.newest_s >= at_s) {
        let part = Part { tier: super::tiers::COARSE.start, from: at_s, to: at_s + 1 };
        found.extend(points(connection, row.id, part)?.pop().map(|(_, point)| (row.series, point)));
    }
    Ok(found)
}

/// Every series, or those of a namespace, or of one metric's name in it; by name.
pub(super) fn series(
    connection: &Connection,
    namespace: Option<&str>,
    name: Option<&str>,
) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(
            "SELECT id, namespace, name, dimensions, unit, newest_s FROM metric_series
             WHERE (?1 IS NULL OR namespace = ?1) AND (?2 IS NULL OR name = ?2)
             ORDER BY namespace, name, dimensions, unit",
        )?
        .query_map(params![namespace, name], row)?
        .collect()
}

/// The series of one metric, one for each unit.
pub(super) fn series_of(connection: &Connection, metric: &Metric) -> rusqlite::Result<Vec<Row>> {
    let Metric { namespace, name, dimensions } = metric;
    connection
        .prepare_cached(
            "SELECT id, namespace, name, dimensions, unit, newest_s FROM metric_series
             WHERE namespace = ?1 AND name = ?2 AND dimensions = ?3 ORDER BY unit",
        )?
        .query_map(params![namespace, name, text(dimensions)], row)?
        .collect()
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let dimensions = serde_json::from_str(row.get_ref(3)?.as_str()?).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(3, kind, Box::new(error))
    })?;
    let unit = Unit::parse(row.get_ref(4)?.as_str()?).expect("only units were recorded");
    let metric = Metric { namespace: row.get(1)?, name: row.get(2)?, dimensions };
    Ok(Row { id: row.get(0)?, series: Series { metric, unit }, newest_s: row.get(5)? })
}

/// The ids of all series.
pub(super) fn ids(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached("SELECT id FROM metric_series")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Removes points of these series that are older than `1 / share` of what their tier keeps.
pub(super) fn remove_older(
    tx: &Connection,
    series: &[i64],
    now: i64,
    share: i64,
) -> rusqlite::Result<()> {
    // By series and tier: that is how the points lie, so that nothing young is looked at.
    for id in series {
        for (number, tier) in METRIC_TIERS.iter().enumerate() {
            let number = i64::try_from(number).unwrap_or_default();
            tx.prepare_cached(
                "DELETE FROM metric_points WHERE series = ?1 AND tier = ?2 AND at_s < ?3",
            )?
            .execute([*id, number, now - tier.kept_seconds / share])?;
        }
    }
    Ok(())
}

/// Removes series that have had no value for so long that no point of them is left.
pub(super) fn remove_ended(tx: &Connection, now: i64) -> rusqlite::Result<()> {
    let oldest = METRIC_TIERS.iter().map(|tier| tier.kept_seconds).max().unwrap_or_default();
    tx.prepare_cached("DELETE FROM metric_series WHERE newest_s < ?1")?.execute([now - oldest])?;
    Ok(())
}

pub(super) fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT count(*) FROM metric_points")?.query_row([], |row| row.get(0))
}
