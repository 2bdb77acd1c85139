//! CloudWatch's metrics: AWS JSON 1.0, the query protocol and RPC over CBOR over the metrics.
//!
//! Promise: whichever protocol an SDK's version speaks, the same questions get the same answers.
//! Not here: alarms, dashboards, streams of metrics; who may call (`gateway`); what is kept for how long (`metrics`).
//!
//! A request becomes JSON first, and an answer is JSON until it is written: one meaning, three spellings.

mod failure;
mod members;
mod put;
mod read;

use std::io::Read as _;

use axum::body::Bytes;
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use serde_json::{Map, Number, Value, json};
use time::format_description::well_known::Rfc3339;

use super::wire::aws_json::{self, Version};
use super::wire::aws_query::{self, Xml};
use super::wire::{Request, RequestId, Response, rpc_cbor};
use crate::clock::{Clock, Timestamp};
use crate::limits::{JSON_BODY_MAX_BYTES, LIST_METRICS_MAX};
use crate::metrics::{Metric, Metrics, Statistic};
use failure::{Code, Failure};
use members::Members;

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// The service's name in `X-Amz-Target` and in the paths of RPC over CBOR.
pub const TARGET: &str = "GraniteServiceVersion20100801";

/// The CloudWatch endpoint. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    metrics: Metrics,
    clock: Clock,
}

/// What the answer needs to know of the request.
#[derive(Debug)]
struct Context {
    protocol: Protocol,
    action: String,
    request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
    Cbor,
}

impl CloudWatch {
    pub fn new(metrics: Metrics, clock: Clock) -> CloudWatch {
        CloudWatch { metrics, clock }
    }

    /// Answers one request.
    pub async fn call(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = match axum::body::to_bytes(body, JSON_BODY_MAX_BYTES).await {
            Ok(body) => unpacked(&parts, body),
            Err(_) => None,
        };
        let (context, members) = Context::read(&parts, body.as_deref().unwrap_or_default());
        let members = members
            .filter(|_| body.is_some())
            .ok_or_else(|| Failure::new(Code::Validation, "The request's body could not be read."));
        let answer = match members {
            Ok(members) => self.perform(&context.action, &Members::new(members)).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(answer) => context.answer(answer),
            Err(failure) => context.fail(&failure),
        }
    }

    async fn perform(&self, action: &str, members: &Members) -> Result<Value, Failure> {
        match action {
            "PutMetricData" => {
                self.metrics.put(put::data(members, self.clock.now())?).await?;
                Ok(json!({}))
            }
            "ListMetrics" => self.list(members).await,
            "GetMetricStatistics" => self.statistics(members).await,
            "GetMetricData" => self.data(members).await,
            other => Err(Failure::new(
                Code::InvalidAction,
                format!(
                    "windtunnel keeps metrics, and does no `{other}`: of CloudWatch it serves PutMetricData, \
                     ListMetrics, GetMetricStatistics and GetMetricData"
                ),
            )),
        }
    }

    async fn list(&self, members: &Members) -> Result<Value, Failure> {
        let (filter, after) = read::list(members, self.clock.now())?;
        let known = self.metrics.list(filter).await?;
        let mut metrics: Vec<Metric> = known.into_iter().map(|known| known.series.metric).collect();
        // The same metric in another unit is the same metric.
        metrics.dedup();
        let page: Vec<Value> =
            metrics.iter().skip(after).take(LIST_METRICS_MAX).map(metric).collect();
        let shown = after + page.len();
        let mut answer = json!({ "Metrics": page });
        if shown < metrics.len() {
            answer["NextToken"] = json!(read::token(shown));
        }
        Ok(answer)
    }

    async fn statistics(&self, members: &Members) -> Result<Value, Failure> {
        let read::Statistics { question, plain, extended } = read::statistics(members)?;
        let label = question.metric.name.clone();
        let mut points = Vec::new();
        for found in self.metrics.points(question).await? {
            let mut point = Map::new();
            point.insert("Timestamp".to_owned(), moment(found.at));
            let values = |wanted: &[(String, Statistic)]| -> Map<String, Value> {
                let value = |(name, statistic): &(String, Statistic)| {
                    Some((name.clone(), number(found.point.statistic(*statistic)?)))
                };
                wanted.iter().filter_map(value).collect()
            };
            point.extend(values(&plain));
            if !extended.is_empty() {
                point.insert("ExtendedStatistics".to_owned(), values(&extended).into());
            }
            point.insert("Unit".to_owned(), json!(found.unit.as_str()));
            points.push(Value::Object(point));
        }
        Ok(json!({ "Label": label, "Datapoints": points }))
    }

    async fn data(&self, members: &Members) -> Result<Value, Failure> {
        let asked = read::data(members)?;
        let (mut results, mut skip, mut room) = (Vec::new(), asked.after, asked.max_points);
        let mut more = false;
        for query in asked.queries {
            let mut points = self.values(&query).await?;
            if !asked.oldest_first {
                points.reverse();
            }
            let skipped = skip.min(points.len());
            skip -= skipped;
            let shown = room.min(points.len() - skipped);
            room -= shown;
            let rest = points.len() - skipped - shown;
            more |= rest > 0;
            let (times, values): (Vec<Value>, Vec<Value>) =
                points.into_iter().skip(skipped).take(shown).unzip();
            results.push(json!({
                "Id": query.id,
                "Label": query.label,
                "Timestamps": times,
                "Values": values,
                "StatusCode": if rest > 0 { "PartialData" } else { "Complete" },
            }));
        }
        let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
        if more {
            answer["NextToken"] = json!(read::token(asked.after + asked.max_points));
        }
        Ok(answer)
    }

    /// Times and values of one query, oldest first. Several units are one series there, as in CloudWatch.
    async fn values(&self, query: &read::Query) -> Result<Vec<(Value, Value)>, Failure> {
        let mut whole: Vec<crate::metrics::Answered> = Vec::new();
        for found in self.metrics.points(query.question.clone()).await? {
            match whole.last_mut().filter(|last| last.at == found.at) {
                Some(last) => last.point.add(&found.point),
                None => whole.push(found),
            }
        }
        let value = |found: crate::metrics::Answered| {
            Some((moment(found.at), number(found.point.statistic(query.statistic)?)))
        };
        Ok(whole.into_iter().filter_map(value).collect())
    }
}

fn metric(metric: &Metric) -> Value {
    let dimensions = metric.dimensions.iter();
    let dimensions: Vec<Value> =
        dimensions.map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    json!({
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": dimensions,
    })
}

/// Seconds since the epoch: every point is at a whole one.
fn moment(at: Timestamp) -> Value {
    json!(at.as_millis().div_euclid(1000))
}

fn number(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Members whose numbers are moments.
fn is_time(name: &str) -> bool {
    matches!(name, "Timestamp" | "Timestamps")
}

/// The body as it was before the SDK compressed it; `None` where that is not what it says, or too large.
fn unpacked(parts: &Parts, body: Bytes) -> Option<Bytes> {
    match parts.headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        Some(b"gzip") => {
            let max = JSON_BODY_MAX_BYTES as u64;
            let mut plain = Vec::new();
            let mut bounded = GzDecoder::new(&*body).take(max + 1);
            bounded.read_to_end(&mut plain).ok()?;
            (plain.len() as u64 <= max).then(|| plain.into())
        }
        _ => Some(body),
    }
}

impl Context {
    fn read(parts: &Parts, body: &[u8]) -> (Context, Option<Map<String, Value>>) {
        let (protocol, action, members) =
            if let Some((_, action)) = rpc_cbor::target(&parts.headers, &parts.uri) {
                (Protocol::Cbor, action.to_owned(), rpc_cbor::members(body))
            } else if let Some((_, action)) = aws_json::target(&parts.headers) {
                let members = match body {
                    [] => Some(Map::new()),
                    body => serde_json::from_slice(body).ok(),
                };
                (Protocol::Json, action.to_owned(), members)
            } else {
                let form = String::from_utf8_lossy(body);
                let query = parts.uri.query().unwrap_or_default();
                let params = aws_query::Params::parse(query, &form);
                let action = params.get("Action").unwrap_or_default().to_owned();
                (Protocol::Query, action, Some(params.tree()))
            };
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let request_id = request_id.unwrap_or_default();
        (Context { protocol, action, request_id }, members)
    }

    fn envelope(&self) -> aws_query::Envelope<'_> {
        aws_query::Envelope { namespace: NAMESPACE, request_id: &self.request_id }
    }

    fn answer(&self, value: Value) -> Response {
        match self.protocol {
            Protocol::Json => aws_json::answer(Version::V1_0, &value),
            Protocol::Cbor => rpc_cbor::answer(&value, is_time),
            Protocol::Query => {
                let Value::Object(map) = value else { unreachable!("every answer is a structure") };
                let result = (!map.is_empty()).then_some(|xml: &mut Xml| {
                    map.iter().for_each(|(name, value)| element(xml, name, value));
                });
                aws_query::answer(self.envelope(), &self.action, result)
            }
        }
    }

    fn fail(&self, failure: &Failure) -> Response {
        if let Some(cause) = &failure.cause {
            tracing::error!(request_id = %self.request_id, cause, "a CloudWatch operation failed");
        }
        match self.protocol {
            Protocol::Json => aws_json::failure(Version::V1_0, &failure.to_json()),
            Protocol::Cbor => rpc_cbor::failure(&failure.to_json()),
            Protocol::Query => {
                let (status, code) = (failure.status(), failure.query_code());
                aws_query::failure(self.envelope(), status, code, &failure.message)
            }
        }
    }
}

/// Lists have `member` elements, the one map there is has `entry` elements, moments are calendar dates.
fn element(xml: &mut Xml, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(value) => xml.leaf(name, &value.to_string()),
        Value::String(text) => xml.leaf(name, text),
        Value::Number(number) => match number.as_i64().filter(|_| is_time(name)) {
            Some(seconds) => xml.leaf(name, &calendar(seconds)),
            None => xml.leaf(name, &number.to_string()),
        },
        Value::Array(items) => xml.element(name, |xml| {
            for item in items {
                match item.as_i64().filter(|_| is_time(name)) {
                    Some(seconds) => xml.leaf("member", &calendar(seconds)),
                    None => element(xml, "member", item),
                }
            }
        }),
        Value::Object(map) if name == "ExtendedStatistics" => xml.element(name, |xml| {
            for (key, value) in map {
                xml.element("entry", |xml| {
                    xml.leaf("key", key);
                    element(xml, "value", value);
                });
            }
        }),
        Value::Object(map) => xml.element(name, |xml| {
            map.iter().for_each(|(name, value)| element(xml, name, value));
        }),
    }
}

fn calendar(seconds: i64) -> String {
    let at = Timestamp::from_millis(seconds * 1000).to_utc();
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests;
