//! `PublishMetrics`: what containers of MWAA's own once sent. Kept like any other metric of the environment.

use serde::Deserialize;

use super::failure::Refusal;
use crate::clock::Timestamp;
use crate::constraints::Faults;
use crate::id::EnvironmentName;
use crate::limits::{DATUM_FUTURE_MAX_MS, DATUM_PAST_MAX_MS};
use crate::metrics::{
    AIRFLOW_NAMESPACE, Datum, Dimensions, ENVIRONMENT, Metric, Point, Resolution, Series, Unit,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Raw {
    metric_data: Option<Vec<RawDatum>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawDatum {
    metric_name: Option<String>,
    /// In seconds since 1970.
    timestamp: Option<f64>,
    dimensions: Option<Vec<RawDimension>>,
    value: Option<f64>,
    unit: Option<String>,
    statistic_values: Option<RawStatistics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawDimension {
    name: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawStatistics {
    sample_count: Option<f64>,
    sum: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl Raw {
    /// What is to be kept. A datum without a value is one that says nothing.
    pub(super) fn check(
        self,
        environment: &EnvironmentName,
        now: Timestamp,
    ) -> Result<Vec<Datum>, Refusal> {
        let mut faults = Faults::default();
        let data = faults.required("metricData", self.metric_data).unwrap_or_default();
        let mut kept = Vec::new();
        for (index, datum) in data.into_iter().enumerate() {
            let at = format!("metricData.{}.member", index + 1);
            kept.extend(datum.check(&mut faults, &at, (environment, now)));
        }
        if faults.0.is_empty() { Ok(kept) } else { Err(Refusal::Invalid(faults)) }
    }
}

impl RawDatum {
    fn check(
        self,
        faults: &mut Faults,
        at: &str,
        (environment, now): (&EnvironmentName, Timestamp),
    ) -> Option<Datum> {
        let name = faults.required(&format!("{at}.metricName"), self.metric_name);
        let seconds = faults.required(&format!("{at}.timestamp"), self.timestamp);
        let time = seconds.map(|seconds| Timestamp::from_millis(milliseconds(seconds)));
        // As CloudWatch has it, which is where they go.
        let (first, last) =
            (now.plus_millis(-DATUM_PAST_MAX_MS), now.plus_millis(DATUM_FUTURE_MAX_MS));
        if time.is_some_and(|time| time < first || time > last) {
            let rule = "Member must be a time between two weeks ago and two hours ahead";
            faults.broken(&format!("{at}.timestamp"), seconds.unwrap_or_default(), rule);
        }
        let mut dimensions = Dimensions::new();
        for dimension in self.dimensions.unwrap_or_default() {
            let key = faults.required(&format!("{at}.dimensions.name"), dimension.name);
            let value = faults.required(&format!("{at}.dimensions.value"), dimension.value);
            dimensions.extend(key.zip(value));
        }
        dimensions.insert(ENVIRONMENT.to_owned(), environment.to_string());
        let unit = self.unit.unwrap_or_else(|| Unit::NONE.to_string());
        faults.one_of(&format!("{at}.unit"), &unit, Unit::names());
        let point = match (self.statistic_values, self.value) {
            (Some(set), _) => {
                let (count, sum) = (set.sample_count?, set.sum?);
                if count <= 0.0 {
                    let member = format!("{at}.statisticValues.sampleCount");
                    faults.broken(&member, count, "Member must be greater than 0");
                }
                let (minimum, maximum) = (set.minimum?, set.maximum?);
                if minimum > maximum {
                    let member = format!("{at}.statisticValues.minimum");
                    faults.broken(&member, minimum, "Member must not be greater than maximum");
                }
                Point::added_up(count, sum, minimum, maximum)
            }
            (None, Some(value)) => Point::of(value, 1.0),
            (None, None) => return None,
        };
        let metric = Metric { namespace: AIRFLOW_NAMESPACE.to_owned(), name: name?, dimensions };
        Some(Datum {
            series: Series { metric, unit: Unit::parse(&unit)? },
            at: time?,
            resolution: Resolution::Minute,
            point,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a time beyond all years is cut to the last")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_700_000_001;

    fn checked(data: &Value) -> Result<Vec<Datum>, Refusal> {
        let raw: Raw = serde_json::from_value(json!({ "MetricData": data })).unwrap();
        let now = Timestamp::from_millis(NOW * 1000);
        raw.check(&EnvironmentName::parse("dev").unwrap(), now)
    }

    #[test]
    fn a_value_is_kept_among_the_environments_metrics() {
        let data = checked(&json!([
            {"MetricName": "Beats", "Timestamp": 1_700_000_000.5, "Value": 2, "Unit": "Count",
             "Dimensions": [{"Name": "Function", "Value": "Scheduler"}]},
            {"MetricName": "Sizes", "Timestamp": 1_700_000_000,
             "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}},
            {"MetricName": "Nothing", "Timestamp": 1_700_000_000},
        ]));
        let data = data.unwrap();
        let [beats, sizes] = data.as_slice() else { panic!("{data:?}") };
        assert_eq!(beats.at, Timestamp::from_millis(1_700_000_000_500));
        assert_eq!(beats.series.metric.dimensions[ENVIRONMENT], "dev");
        assert_eq!(beats.series.metric.dimensions["Function"], "Scheduler");
        assert_eq!((beats.point.sum, sizes.point.sum), (2.0, 3.0));
    }

    #[test]
    fn a_datum_has_a_name_a_time_and_a_known_unit() {
        for wrong in [
            json!([{"Timestamp": NOW}]),
            json!([{"MetricName": "x"}]),
            json!([{"MetricName": "x", "Timestamp": NOW, "Unit": "Parsecs"}]),
            json!([{"MetricName": "x", "Timestamp": NOW, "Dimensions": [{"Name": "a"}]}]),
            json!([{"MetricName": "x", "Timestamp": NOW + 7_201, "Value": 1}]),
            json!([{"MetricName": "x", "Timestamp": NOW - 15 * 86_400, "Value": 1}]),
            json!([{"MetricName": "x", "Timestamp": -1e300, "Value": 1}]),
            json!([{"MetricName": "x", "Timestamp": NOW,
                    "StatisticValues": {"SampleCount": 0, "Sum": 3, "Minimum": 1, "Maximum": 2}}]),
            json!([{"MetricName": "x", "Timestamp": NOW,
                    "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 2, "Maximum": 1}}]),
            Value::Null,
        ] {
            assert!(matches!(checked(&wrong), Err(Refusal::Invalid(_))), "{wrong}");
        }
    }
}
