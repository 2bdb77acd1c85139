//! ListMetrics, GetMetricStatistics and GetMetricData: bytes to checked questions.

use std::collections::BTreeSet;

use super::failure::{Code, Failure};
use super::members::Members;
use super::put;
use crate::clock::Timestamp;
use crate::limits::{
    LIST_METRICS_AGE_MS, METRIC_DATA_POINTS_MAX, METRIC_QUERIES_MAX, STATISTICS_POINTS_MAX,
};
use crate::metrics::{Filter, Question, Statistic};

/// What GetMetricStatistics asks for.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub(super) question: Question,
    pub(super) plain: Vec<(String, Statistic)>,
    /// Percentiles, under the names that were given.
    pub(super) extended: Vec<(String, Statistic)>,
}

/// What GetMetricData asks for.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) queries: Vec<Query>,
    pub(super) oldest_first: bool,
    pub(super) max_points: usize,
    /// Points that earlier pages have shown.
    pub(super) after: usize,
}

/// One series that GetMetricData is to return.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) question: Question,
    pub(super) statistic: Statistic,
}

/// A page of ListMetrics: what is wanted, and how many earlier pages have shown.
pub(super) fn list(members: &Members, now: Timestamp) -> Result<(Filter, usize), Failure> {
    let namespace = if members.has("Namespace") { Some(put::namespace(members)?) } else { None };
    let dimensions = members.list("Dimensions", 10)?;
    let dimensions = dimensions.iter().map(|one| Ok((one.required("Name")?, one.text("Value")?)));
    let age_ms = match members.text("RecentlyActive")?.as_deref() {
        None => LIST_METRICS_AGE_MS,
        Some("PT3H") => 3 * 3_600_000,
        Some(other) => {
            return Err(Failure::value(format!(
                "The value {other} for parameter RecentlyActive is invalid; it can be PT3H."
            )));
        }
    };
    let filter = Filter {
        namespace,
        name: members.text("MetricName")?,
        dimensions: dimensions.collect::<Result<_, Failure>>()?,
        since: Some(now.plus_millis(-age_ms)),
    };
    Ok((filter, after(members)?))
}

fn after(members: &Members) -> Result<usize, Failure> {
    let Some(token) = members.text("NextToken")? else { return Ok(0) };
    let bad = || Failure::new(Code::InvalidNextToken, "The next token is not valid.");
    token.strip_prefix("after-").and_then(|count| count.parse().ok()).ok_or_else(bad)
}

/// The token that continues after so many.
pub(super) fn token(after: usize) -> String {
    format!("after-{after}")
}

fn period(members: &Members) -> Result<u32, Failure> {
    let period = members.whole("Period")?;
    let period = period.ok_or_else(|| Failure::missing(&members.place("Period")))?;
    if [1, 5, 10, 20, 30].contains(&period) || (period > 0 && period.is_multiple_of(60)) {
        return Ok(period);
    }
    let place = members.place("Period");
    Err(Failure::value(format!(
        "The parameter {place} must be 1, 5, 10, 20, 30 or a multiple of 60."
    )))
}

fn span(members: &Members) -> Result<(Timestamp, Timestamp), Failure> {
    let from = members.required_time("StartTime")?;
    let to = members.required_time("EndTime")?;
    if from >= to {
        let message = "The parameter StartTime must be less than the parameter EndTime.";
        return Err(Failure::value(message));
    }
    Ok((from, to))
}

pub(super) fn statistics(members: &Members) -> Result<Statistics, Failure> {
    let metric = put::metric(members, put::namespace(members)?)?;
    let (from, to) = span(members)?;
    let period_seconds = period(members)?;
    let wanted = (to.as_millis() - from.as_millis()) / 1000 / i64::from(period_seconds);
    if wanted > STATISTICS_POINTS_MAX {
        return Err(Failure::new(
            Code::InvalidParameterCombination,
            format!(
                "You have requested up to {wanted} datapoints, which exceeds the limit of 1,440. You may reduce the \
                 datapoints requested by increasing Period, or decreasing the time range."
            ),
        ));
    }
    let named = |list: &str, percentiles: bool| {
        let names = members.texts(list, 10)?;
        let of = |name: String| {
            let found = Statistic::parse(&name)
                .filter(|found| matches!(found, Statistic::Percentile(_)) == percentiles);
            let wrong =
                || Failure::value(format!("The value {name} for parameter {list} is invalid."));
            found.ok_or_else(wrong).map(|found| (name, found))
        };
        names.into_iter().map(of).collect::<Result<Vec<_>, Failure>>()
    };
    let (plain, extended) = (named("Statistics", false)?, named("ExtendedStatistics", true)?);
    if plain.is_empty() && extended.is_empty() {
        return Err(Failure::new(
            Code::MissingParameter,
            "At least one of the parameters Statistics and ExtendedStatistics must be specified.",
        ));
    }
    let question = Question { metric, unit: put::unit(members)?, period_seconds, from, to };
    Ok(Statistics { question, plain, extended })
}

pub(super) fn data(members: &Members) -> Result<Data, Failure> {
    let (from, to) = span(members)?;
    let oldest_first = match members.text("ScanBy")?.as_deref() {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => {
            return Err(validation(format!(
                "The value {other} for parameter ScanBy is invalid; it can be TimestampDescending or \
                 TimestampAscending."
            )));
        }
    };
    let max_points = members.whole("MaxDatapoints")?.unwrap_or(METRIC_DATA_POINTS_MAX);
    if !(1..=METRIC_DATA_POINTS_MAX).contains(&max_points) {
        return Err(validation(format!(
            "The parameter MaxDatapoints must be between 1 and {METRIC_DATA_POINTS_MAX}."
        )));
    }
    let given = members.list("MetricDataQueries", METRIC_QUERIES_MAX)?;
    if given.is_empty() {
        return Err(Failure::missing("MetricDataQueries"));
    }
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for members in &given {
        let (returned, query) = query(members, (from, to))?;
        if !ids.insert(query.id.clone()) {
            return Err(validation(
                "The values for parameter id in MetricDataQueries are not unique.",
            ));
        }
        if returned {
            queries.push(query);
        }
    }
    if queries.is_empty() {
        return Err(validation("At least one query must have ReturnData set to true."));
    }
    let max_points = max_points as usize;
    Ok(Data { queries, oldest_first, max_points, after: after(members)? })
}

fn validation(message: impl Into<String>) -> Failure {
    Failure::new(Code::Validation, message)
}

/// The query, and whether its values are to be returned.
fn query(members: &Members, span: (Timestamp, Timestamp)) -> Result<(bool, Query), Failure> {
    let id = members.required("Id")?;
    let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if !id.starts_with(|letter: char| letter.is_ascii_lowercase()) || !id.chars().all(letters) {
        let place = members.place("Id");
        return Err(validation(format!(
            "The value {id} for parameter {place} is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )));
    }
    // Divergence(metric-math): nothing of the dashboards that MWAA comes with needs it.
    if members.has("Expression") {
        let place = members.place("Expression");
        return Err(validation(format!(
            "Error in parameter {place}: windtunnel evaluates no metric math; ask for MetricStat and compute it from \
             the values."
        )));
    }
    let Some(stat) = members.inner("MetricStat")? else {
        let place = members.place("");
        return Err(validation(format!(
            "Exactly one of the parameters {place}MetricStat and {place}Expression must be specified."
        )));
    };
    let Some(asked) = stat.inner("Metric")? else {
        return Err(Failure::missing(&stat.place("Metric")));
    };
    let metric = put::metric(&asked, put::namespace(&asked)?)?;
    let name = stat.required("Stat")?;
    let Some(statistic) = Statistic::parse(&name) else {
        let place = stat.place("Stat");
        return Err(validation(format!(
            "The value {name} for parameter {place} is not supported."
        )));
    };
    let label = members.text("Label")?.unwrap_or_else(|| metric.name.clone());
    let (period_seconds, unit, (from, to)) = (period(&stat)?, put::unit(&stat)?, span);
    let question = Question { metric, unit, period_seconds, from, to };
    let returned = members.flag("ReturnData")?.unwrap_or(true);
    Ok((returned, Query { id, label, question, statistic }))
}
