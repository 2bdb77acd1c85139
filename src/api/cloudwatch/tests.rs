use axum::body::Body;
use insta::assert_snapshot;

use super::*;
use crate::config::Durability;
use crate::db::Db;
use crate::metrics;

const NOW_S: i64 = 1_790_000_000;

async fn endpoint() -> (CloudWatch, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(NOW_S * 1000));
    let path = folder.path().join("db");
    let db = Db::open(&path, Durability::Process, &[metrics::SCHEMA], clock.clone()).unwrap();
    let metrics = Metrics::open(db, clock.clone()).await.unwrap();
    (CloudWatch::new(metrics, clock), folder)
}

fn json_request(action: &str, members: &Value) -> Request {
    http::Request::builder()
        .header("x-amz-target", format!("{TARGET}.{action}"))
        .body(Body::from(members.to_string()))
        .unwrap()
}

fn query_request(form: &str) -> Request {
    http::Request::builder()
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap()
}

async fn told(endpoint: &CloudWatch, request: Request) -> String {
    let response = endpoint.call(request).await;
    let status = response.status();
    let error = response.headers().get("x-amzn-query-error").cloned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let error = error.map(|error| format!(" {}", error.to_str().unwrap())).unwrap_or_default();
    format!("{status}{error}\n{}", String::from_utf8_lossy(&body))
}

async fn filled() -> (CloudWatch, tempfile::TempDir) {
    let (endpoint, folder) = endpoint().await;
    let dimensions = json!([{ "Name": "Environment", "Value": "dev" }]);
    let data: Vec<Value> = [(120, 3.0), (60, 5.0), (55, 7.0)]
        .iter()
        .map(|(age, value)| {
            json!({ "MetricName": "Load", "Dimensions": dimensions, "Timestamp": NOW_S - age,
                    "Value": value, "Unit": "Count" })
        })
        .collect();
    let put = json!({ "Namespace": "Mine", "MetricData": data });
    assert_snapshot!(told(&endpoint, json_request("PutMetricData", &put)).await, @r"
    200 OK
    {}
    ");
    (endpoint, folder)
}

#[tokio::test]
async fn what_is_put_is_read_in_json() {
    let (endpoint, _folder) = filled().await;
    let query = json!({ "Id": "m1", "MetricStat": { "Period": 60, "Stat": "Sum", "Metric": {
        "Namespace": "Mine", "MetricName": "Load",
        "Dimensions": [{ "Name": "Environment", "Value": "dev" }] } } });
    let ask = json!({ "StartTime": NOW_S - 600, "EndTime": NOW_S, "MetricDataQueries": [query] });
    assert_snapshot!(told(&endpoint, json_request("GetMetricData", &ask)).await, @r#"
    200 OK
    {"Messages":[],"MetricDataResults":[{"Id":"m1","Label":"Load","StatusCode":"Complete","Timestamps":[1789999920,1789999860],"Values":[12.0,3.0]}]}
    "#);
    let mut paged = ask.clone();
    paged["MaxDatapoints"] = json!(1);
    assert_snapshot!(told(&endpoint, json_request("GetMetricData", &paged)).await, @r#"
    200 OK
    {"Messages":[],"MetricDataResults":[{"Id":"m1","Label":"Load","StatusCode":"PartialData","Timestamps":[1789999920],"Values":[12.0]}],"NextToken":"after-1"}
    "#);
    paged["NextToken"] = json!("after-1");
    assert_snapshot!(told(&endpoint, json_request("GetMetricData", &paged)).await, @r#"
    200 OK
    {"Messages":[],"MetricDataResults":[{"Id":"m1","Label":"Load","StatusCode":"Complete","Timestamps":[1789999860],"Values":[3.0]}]}
    "#);
    assert_snapshot!(told(&endpoint, json_request("ListMetrics", &json!({}))).await, @r#"
    200 OK
    {"Metrics":[{"Dimensions":[{"Name":"Environment","Value":"dev"}],"MetricName":"Load","Namespace":"Mine"}]}
    "#);
}

#[tokio::test]
async fn the_query_protocol_says_the_same() {
    let (endpoint, _folder) = filled().await;
    let form = "Action=GetMetricStatistics&Version=2010-08-01&Namespace=Mine&MetricName=Load\
        &Dimensions.member.1.Name=Environment&Dimensions.member.1.Value=dev\
        &StartTime=2026-09-21T14:00:00Z&EndTime=2026-09-21T15:00:00Z&Period=300\
        &Statistics.member.1=Sum&Statistics.member.2=Average&ExtendedStatistics.member.1=p50";
    assert_snapshot!(told(&endpoint, query_request(form)).await, @r#"
    200 OK
    <?xml version="1.0"?><GetMetricStatisticsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricStatisticsResult><Datapoints><member><Average>5.0</Average><ExtendedStatistics><entry><key>p50</key><value>5.022431227035299</value></entry></ExtendedStatistics><Sum>15.0</Sum><Timestamp>2026-09-21T14:10:00Z</Timestamp><Unit>Count</Unit></member></Datapoints><Label>Load</Label></GetMetricStatisticsResult><ResponseMetadata><RequestId></RequestId></ResponseMetadata></GetMetricStatisticsResponse>
    "#);
    let listing = "Action=ListMetrics&Version=2010-08-01&Namespace=Other";
    assert_snapshot!(told(&endpoint, query_request(listing)).await, @r#"
    200 OK
    <?xml version="1.0"?><ListMetricsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><ListMetricsResult><Metrics></Metrics></ListMetricsResult><ResponseMetadata><RequestId></RequestId></ResponseMetadata></ListMetricsResponse>
    "#);
    assert_snapshot!(told(&endpoint, query_request("Action=PutMetricAlarm")).await, @r#"
    400 Bad Request
    <?xml version="1.0"?><ErrorResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>windtunnel keeps metrics, and does no `PutMetricAlarm`: of CloudWatch it serves PutMetricData, ListMetrics, GetMetricStatistics and GetMetricData</Message></Error><RequestId></RequestId></ErrorResponse>
    "#);
}

#[tokio::test]
async fn a_compressed_body_is_read_as_what_it_was() {
    use std::io::Write as _;
    let (endpoint, _folder) = endpoint().await;
    let form = "Action=PutMetricData&Namespace=Mine&MetricData.member.1.MetricName=a\
        &MetricData.member.1.Value=1";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(form.as_bytes()).unwrap();
    let mut request = query_request("");
    request.headers_mut().insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
    *request.body_mut() = Body::from(packed.finish().unwrap());
    let answer = told(&endpoint, request).await;
    assert!(answer.starts_with("200 OK"), "{answer}");
}

#[tokio::test]
async fn a_wrong_request_is_refused_in_cloudwatch_s_words() {
    let (endpoint, _folder) = endpoint().await;
    let datum = |more: Value| {
        let mut datum = json!({ "MetricName": "a" });
        datum.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "Namespace": "Mine", "MetricData": [datum] })
    };
    let many: Vec<f64> = (0..151).map(f64::from).collect();
    let query = |more: Value| {
        let mut query = json!({ "Id": "m1" });
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "StartTime": 1, "EndTime": 2, "MetricDataQueries": [query] })
    };
    let cases = [
        ("PutMetricData", json!({ "Namespace": "AWS/Mine", "MetricData": [] })),
        ("PutMetricData", json!({ "Namespace": "Mine" })),
        ("PutMetricData", datum(json!({}))),
        ("PutMetricData", datum(json!({ "Value": 1, "Values": [1] }))),
        ("PutMetricData", datum(json!({ "Values": many }))),
        ("PutMetricData", datum(json!({ "Values": [1, 2], "Counts": [1] }))),
        ("PutMetricData", datum(json!({ "Value": "NaN" }))),
        ("PutMetricData", datum(json!({ "Value": 1, "Timestamp": NOW_S - 15 * 86_400 }))),
        ("PutMetricData", datum(json!({ "Value": 1, "Timestamp": NOW_S + 8_000 }))),
        ("PutMetricData", datum(json!({ "Value": 1, "StorageResolution": 5 }))),
        ("GetMetricStatistics", json!({ "Namespace": "N", "MetricName": "a" })),
        (
            "GetMetricStatistics",
            json!({ "Namespace": "N", "MetricName": "a", "StartTime": 1,
            "EndTime": 100_000, "Period": 60, "Statistics": ["Sum"] }),
        ),
        (
            "GetMetricStatistics",
            json!({ "Namespace": "N", "MetricName": "a", "StartTime": 1,
            "EndTime": 100, "Period": 61, "Statistics": ["Sum"] }),
        ),
        ("GetMetricData", query(json!({ "Id": "M1" }))),
        ("GetMetricData", query(json!({}))),
        ("GetMetricData", query(json!({ "Expression": "m1 + m2" }))),
        ("ListMetrics", json!({ "NextToken": "x" })),
        ("DescribeAlarms", json!({})),
    ];
    let mut said = Vec::new();
    for (action, members) in cases {
        let answer = told(&endpoint, json_request(action, &members)).await;
        let (head, body) = answer.split_once('\n').unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        said.push(format!("{action}: {head}: {}", body["message"].as_str().unwrap()));
    }
    assert_snapshot!(said.join("\n"), @r#"
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The value AWS/ for parameter Namespace is invalid.
    PutMetricData: 400 Bad Request MissingParameter;Sender: The parameter MetricData is required.
    PutMetricData: 400 Bad Request MissingParameter;Sender: At least one of the parameters MetricData.member.1.Value, MetricData.member.1.StatisticValues or MetricData.member.1.Values must be specified.
    PutMetricData: 400 Bad Request InvalidParameterCombination;Sender: The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The collection MetricData.member.1.Values must not have a size greater than 150.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The value NaN for parameter MetricData.member.1.Value is invalid.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The parameter MetricData.member.1.Timestamp must specify a time no more than two weeks in the past.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.
    PutMetricData: 400 Bad Request InvalidParameterValue;Sender: The parameter MetricData.member.1.StorageResolution must be either 1 or 60.
    GetMetricStatistics: 400 Bad Request MissingParameter;Sender: The parameter StartTime is required.
    GetMetricStatistics: 400 Bad Request InvalidParameterCombination;Sender: You have requested up to 1666 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing Period, or decreasing the time range.
    GetMetricStatistics: 400 Bad Request InvalidParameterValue;Sender: The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.
    GetMetricData: 400 Bad Request ValidationError;Sender: The value M1 for parameter MetricDataQueries.member.1.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.
    GetMetricData: 400 Bad Request ValidationError;Sender: Exactly one of the parameters MetricDataQueries.member.1.MetricStat and MetricDataQueries.member.1.Expression must be specified.
    GetMetricData: 400 Bad Request ValidationError;Sender: Error in parameter MetricDataQueries.member.1.Expression: windtunnel evaluates no metric math; ask for MetricStat and compute it from the values.
    ListMetrics: 400 Bad Request InvalidNextToken;Sender: The next token is not valid.
    DescribeAlarms: 400 Bad Request InvalidAction;Sender: windtunnel keeps metrics, and does no `DescribeAlarms`: of CloudWatch it serves PutMetricData, ListMetrics, GetMetricStatistics and GetMetricData
    "#);
}
