//! PutMetricData: bytes to checked values.

use super::failure::{Code, Failure};
use super::members::Members;
use crate::clock::Timestamp;
use crate::limits::{
    DATUM_DIMENSIONS_MAX, DATUM_FUTURE_MAX_MS, DATUM_PAST_MAX_MS, DATUM_VALUES_MAX, PUT_DATA_MAX,
};
use crate::metrics::{Datum, Dimensions, Metric, Point, Resolution, Series, Unit};

/// The values of a PutMetricData.
pub(super) fn data(members: &Members, now: Timestamp) -> Result<Vec<Datum>, Failure> {
    let namespace = namespace(members)?;
    if namespace.starts_with("AWS/") {
        return Err(Failure::value("The value AWS/ for parameter Namespace is invalid."));
    }
    let mut given = members.list("MetricData", PUT_DATA_MAX)?;
    for entity in members.list("EntityMetricData", PUT_DATA_MAX)? {
        given.extend(entity.list("MetricData", PUT_DATA_MAX)?);
    }
    if given.is_empty() {
        return Err(Failure::missing("MetricData"));
    }
    given.iter().map(|members| datum(members, &namespace, now)).collect()
}

pub(super) fn namespace(members: &Members) -> Result<String, Failure> {
    let namespace = members.required("Namespace")?;
    named(members, "Namespace", &namespace)?;
    if namespace.starts_with(':') {
        return Err(Failure::value(format!(
            "The value {namespace} for parameter Namespace is invalid."
        )));
    }
    Ok(namespace)
}

fn named(members: &Members, name: &str, given: &str) -> Result<(), Failure> {
    let place = members.place(name);
    match given.chars().count() {
        0 => Err(Failure::value(format!(
            "The parameter {place} must be greater than or equal to 1 characters."
        ))),
        256.. => Err(Failure::value(format!(
            "The parameter {place} must be shorter than 256 characters."
        ))),
        _ => Ok(()),
    }
}

/// The name and the exact dimensions that say which metric is meant.
pub(super) fn metric(members: &Members, namespace: String) -> Result<Metric, Failure> {
    let name = members.required("MetricName")?;
    named(members, "MetricName", &name)?;
    let mut dimensions = Dimensions::new();
    for given in members.list("Dimensions", DATUM_DIMENSIONS_MAX)? {
        let (name, value) = (given.required("Name")?, given.required("Value")?);
        named(&given, "Name", &name)?;
        if value.is_empty() {
            let place = given.place("Value");
            return Err(Failure::value(format!("The parameter {place} must not be empty.")));
        }
        dimensions.insert(name, value);
    }
    Ok(Metric { namespace, name, dimensions })
}

/// A unit, if one is named.
pub(super) fn unit(members: &Members) -> Result<Option<Unit>, Failure> {
    let Some(given) = members.text("Unit")? else { return Ok(None) };
    let wrong = || {
        let units = Unit::names().join(", ");
        let place = members.place("Unit");
        Failure::value(format!("The parameter {place} must be a value in the set [ {units} ]."))
    };
    Unit::parse(&given).map(Some).ok_or_else(wrong)
}

fn datum(members: &Members, namespace: &str, now: Timestamp) -> Result<Datum, Failure> {
    let metric = metric(members, namespace.to_owned())?;
    let unit = unit(members)?.unwrap_or(Unit::NONE);
    let at = members.time("Timestamp")?.unwrap_or(now);
    let place = members.place("Timestamp");
    if at < now.plus_millis(-DATUM_PAST_MAX_MS) {
        return Err(Failure::value(format!(
            "The parameter {place} must specify a time no more than two weeks in the past."
        )));
    }
    if at > now.plus_millis(DATUM_FUTURE_MAX_MS) {
        return Err(Failure::value(format!(
            "The parameter {place} must specify a time no more than two hours in the future."
        )));
    }
    let resolution = match members.whole("StorageResolution")? {
        None | Some(60) => Resolution::Minute,
        Some(1) => Resolution::Second,
        Some(_) => {
            let place = members.place("StorageResolution");
            return Err(Failure::value(format!("The parameter {place} must be either 1 or 60.")));
        }
    };
    Ok(Datum { series: Series { metric, unit }, at, resolution, point: point(members)? })
}

/// One of: a value, statistics, or values with how often each was.
fn point(members: &Members) -> Result<Point, Failure> {
    let ways = ["Value", "StatisticValues", "Values"];
    let given: Vec<&str> = ways.into_iter().filter(|way| members.has(way)).collect();
    match given[..] {
        ["StatisticValues"] => statistics(members),
        ["Values"] => values(members),
        [_] => Ok(Point::of(members.number("Value")?.unwrap_or_default(), 1.0)),
        [] => Err(Failure::new(
            Code::MissingParameter,
            format!(
                "At least one of the parameters {}, {} or {} must be specified.",
                members.place(ways[0]),
                members.place(ways[1]),
                members.place(ways[2])
            ),
        )),
        [first, second, ..] => Err(Failure::new(
            Code::InvalidParameterCombination,
            format!(
                "The parameters {} and {} are mutually exclusive and you have specified both.",
                members.place(first),
                members.place(second)
            ),
        )),
    }
}

fn statistics(members: &Members) -> Result<Point, Failure> {
    let set = members.inner("StatisticValues")?.expect("it was seen");
    let of = |name| set.number(name)?.ok_or_else(|| Failure::missing(&set.place(name)));
    let (count, sum) = (of("SampleCount")?, of("Sum")?);
    let (min, max) = (of("Minimum")?, of("Maximum")?);
    if count <= 0.0 {
        let place = set.place("SampleCount");
        return Err(Failure::value(format!("The parameter {place} must be greater than 0.")));
    }
    if min > max {
        let place = set.place("Maximum");
        return Err(Failure::value(format!(
            "The parameter {place} must be greater than or equal to the parameter {}.",
            set.place("Minimum")
        )));
    }
    Ok(Point::added_up(count, sum, min, max))
}

fn values(members: &Members) -> Result<Point, Failure> {
    let values = members.numbers("Values", DATUM_VALUES_MAX)?;
    let counts = if members.has("Counts") {
        members.numbers("Counts", DATUM_VALUES_MAX)?
    } else {
        vec![1.0; values.len()]
    };
    if counts.len() != values.len() {
        return Err(Failure::value(format!(
            "The parameters {} and {} must be of the same size.",
            members.place("Values"),
            members.place("Counts")
        )));
    }
    let mut points = values.iter().zip(&counts).filter(|(_, count)| **count > 0.0);
    let first = points.next().map(|(value, count)| Point::of(*value, *count));
    let mut whole = first.ok_or_else(|| Failure::missing(&members.place("Values")))?;
    points.for_each(|(value, count)| whole.add(&Point::of(*value, *count)));
    Ok(whole)
}
