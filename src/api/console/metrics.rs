//! Charts of metrics, and the same numbers for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::{Surroundings, body, json, query};
use crate::api::wire::{Request, Response};
use crate::clock::Timestamp;
use crate::limits::{CHART_POINTS_MAX, CHART_SERIES_MAX};
use crate::metrics::{Dimensions, ENVIRONMENT, Filter, Metric, Point, Question, Series, Statistic};

/// One known metric.
#[derive(Debug, Serialize)]
struct Told {
    namespace: String,
    name: String,
    dimensions: Dimensions,
    unit: &'static str,
    /// Of its latest value, in seconds since the epoch.
    newest: i64,
}

/// `GET /metrics?namespace=N&name=N&environment=E`, every parameter optional.
pub(super) async fn list(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let environment = query::maybe(uri, "environment");
    let filter = Filter {
        namespace: query::maybe(uri, "namespace"),
        name: query::maybe(uri, "name"),
        dimensions: environment
            .map(|name| (ENVIRONMENT.to_owned(), Some(name)))
            .into_iter()
            .collect(),
        since: None,
    };
    let known = around.metrics.list(filter).await.map_err(Failure::Metrics)?;
    let told = known.into_iter().map(|known| {
        let Series { metric: Metric { namespace, name, dimensions }, unit } = known.series;
        let newest = seconds(known.newest);
        Told { namespace, name, dimensions, unit: unit.as_str(), newest }
    });
    let told: Vec<Told> = told.collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "metrics": told })))
}

/// A chart: several series over the same time. Moments are seconds since the epoch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chart {
    from: i64,
    /// Now, when absent.
    to: Option<i64>,
    /// Below 60 for the last three hours, or a multiple of 60.
    period_seconds: u32,
    queries: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    namespace: String,
    name: String,
    #[serde(default)]
    dimensions: Dimensions,
    /// `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, or `p90`.
    statistic: String,
}

/// `POST /metrics/data`: for each query one value, or null, at each of the same moments, oldest first.
pub(super) async fn data(around: &Surroundings, request: Request) -> Result<Response, Failure> {
    let chart: Chart = body(request).await?;
    let to = chart.to.unwrap_or_else(|| seconds(around.clock.now()) + 1);
    let period = i64::from(chart.period_seconds);
    if period == 0 || (period >= 60 && period % 60 != 0) {
        let message = "period_seconds is below 60, or a multiple of 60";
        return Err(Failure::BadParameter(message.to_owned()));
    }
    if (to - chart.from) / period > CHART_POINTS_MAX || chart.queries.len() > CHART_SERIES_MAX {
        return Err(Failure::BadParameter(format!(
            "a chart has {CHART_POINTS_MAX} points and {CHART_SERIES_MAX} series at most; ask for a longer period"
        )));
    }
    let mut columns: Vec<BTreeMap<i64, f64>> = Vec::new();
    for line in chart.queries {
        let statistic = Statistic::parse(&line.statistic).ok_or_else(|| {
            Failure::BadParameter(format!("`{}` is not a statistic", line.statistic))
        })?;
        let Line { namespace, name, dimensions, .. } = line;
        let question = Question {
            metric: Metric { namespace, name, dimensions },
            unit: None,
            period_seconds: chart.period_seconds,
            from: Timestamp::from_millis(chart.from * 1000),
            to: Timestamp::from_millis(to * 1000),
        };
        let points = around.metrics.points(question).await.map_err(Failure::Metrics)?;
        let value = |answered: crate::metrics::Answered| {
            Some((seconds(answered.at), answered.point.statistic(statistic)?))
        };
        columns.push(points.into_iter().filter_map(value).collect());
    }
    let mut times: Vec<i64> = columns.iter().flat_map(|column| column.keys().copied()).collect();
    times.sort_unstable();
    times.dedup();
    let series: Vec<Vec<Option<f64>>> = columns
        .iter()
        .map(|column| times.iter().map(|at| column.get(at).copied()).collect())
        .collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "timestamps": times, "series": series })))
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

/// Whether a scraper has brought the instance's token: `Authorization: Bearer …`, which scrapers can send.
pub(super) fn is_scraper(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let word = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
    // Digests, so that the time it takes tells nothing about the token.
    Sha256::digest(word) == Sha256::digest(token)
}

/// Whether a person looks: the page has a place of the same name.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// `GET /metrics`: every metric of the last whole minute, as OpenMetrics text.
pub(super) async fn scraped(around: &Surroundings) -> Result<Response, Failure> {
    let now = seconds(around.clock.now());
    let minute = now.div_euclid(60) * 60 - 60;
    let points = around.metrics.minute(minute).await.map_err(Failure::Metrics)?;
    let mut response = Response::new(Body::from(open_metrics(&points)));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

const SHOWN: [(&str, Statistic); 5] = [
    ("sum", Statistic::Sum),
    ("average", Statistic::Average),
    ("minimum", Statistic::Minimum),
    ("maximum", Statistic::Maximum),
    ("sample_count", Statistic::SampleCount),
];

/// Names as CloudWatch's exporters make them: `amazon_mwaa_scheduler_heartbeat_sum`.
fn open_metrics(points: &[(Series, Point)]) -> String {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (Series { metric, .. }, point) in points {
        let labels = metric.dimensions.iter().map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{}=\"{value}\"", snake(name))
        });
        let labels = labels.collect::<Vec<_>>().join(",");
        for (name, statistic) in SHOWN {
            let Some(value) = point.statistic(statistic) else { continue };
            let family = format!("{}_{}_{name}", snake(&metric.namespace), snake(&metric.name));
            families.entry(family).or_default().push(format!("{{{labels}}} {value}"));
        }
    }
    let mut text = String::new();
    for (family, lines) in families {
        writeln!(text, "# TYPE {family} gauge").expect("writing to a String");
        for line in lines {
            writeln!(text, "{family}{line}").expect("writing to a String");
        }
    }
    text + "# EOF\n"
}

/// `CPUUtilization` is `cpu_utilization`, `AWS/MWAA` is `aws_mwaa`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            if !text.ends_with('_') {
                text.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).map(|before| letters[before]);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_uppercase()
                        && letters.get(at + 1).is_some_and(char::is_ascii_lowercase)
            });
        if begins && !text.ends_with('_') {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) { format!("_{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Unit;

    #[test]
    fn names_and_values_become_open_metrics() {
        let dimensions = Dimensions::from([
            ("DAG Filename".to_owned(), "a \"b\"".to_owned()),
            ("Environment".to_owned(), "dev".to_owned()),
        ]);
        let metric = Metric {
            namespace: "AWS/MWAA".to_owned(),
            name: "CPUUtilization".to_owned(),
            dimensions,
        };
        let series = Series { metric, unit: Unit::PERCENT };
        insta::assert_snapshot!(open_metrics(&[(series, Point::of(1.5, 2.0))]), @r#"
    # TYPE aws_mwaa_cpu_utilization_average gauge
    aws_mwaa_cpu_utilization_average{dag_filename="a \"b\"",environment="dev"} 1.5
    # TYPE aws_mwaa_cpu_utilization_maximum gauge
    aws_mwaa_cpu_utilization_maximum{dag_filename="a \"b\"",environment="dev"} 1.5
    # TYPE aws_mwaa_cpu_utilization_minimum gauge
    aws_mwaa_cpu_utilization_minimum{dag_filename="a \"b\"",environment="dev"} 1.5
    # TYPE aws_mwaa_cpu_utilization_sample_count gauge
    aws_mwaa_cpu_utilization_sample_count{dag_filename="a \"b\"",environment="dev"} 2
    # TYPE aws_mwaa_cpu_utilization_sum gauge
    aws_mwaa_cpu_utilization_sum{dag_filename="a \"b\"",environment="dev"} 3
    # EOF
    "#);
        assert_eq!(snake("AmazonMWAA"), "amazon_mwaa");
        assert_eq!(
            snake("DAGFileProcessingLastNumOfDbQueries"),
            "dag_file_processing_last_num_of_db_queries"
        );
    }
}
