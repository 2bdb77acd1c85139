//! The wire: what clients send, byte for byte what they get.

use axum::body::Body;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::config::Durability;
use crate::db::Db;

const NOW_MS: i64 = 1_767_323_045_000;

struct Endpoint {
    service: CloudwatchLogs,
    _folder: tempfile::TempDir,
}

async fn endpoint() -> Endpoint {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(NOW_MS));
    let path = folder.path().join("db");
    let db = Db::open(&path, Durability::Process, &[], clock.clone()).unwrap();
    let path = folder.path().join("logs.db");
    let logs = Logs::open(&path, Durability::Process, clock, db).await.unwrap();
    let account = AccountId::parse("123456789012").unwrap();
    let region = Region::parse("eu-west-1").unwrap();
    Endpoint { service: CloudwatchLogs::new(logs, account, region), _folder: folder }
}

impl Endpoint {
    /// The answer's status and body as they are.
    async fn send(&self, action: &str, body: Value) -> String {
        let request = http::Request::post("/")
            .header("x-amz-target", format!("Logs_20140328.{action}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.service.call(request).await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        format!("{status} {}", String::from_utf8_lossy(&body))
    }

    /// The body of an answer that must be yes.
    async fn ok(&self, action: &str, body: Value) -> Value {
        let answer = self.send(action, body).await;
        let body = answer.strip_prefix("200 ").unwrap_or_else(|| panic!("{action}: {answer}"));
        serde_json::from_str(body).unwrap()
    }

    async fn stream(&self) {
        self.ok("CreateLogGroup", json!({ "logGroupName": "g" })).await;
        self.ok("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s/1" })).await;
    }

    async fn put(&self, events: &[(i64, &str)]) -> Value {
        let events: Vec<Value> = events
            .iter()
            .map(|(at, text)| json!({ "timestamp": NOW_MS + at, "message": text }))
            .collect();
        let body = json!({ "logGroupName": "g", "logStreamName": "s/1", "logEvents": events });
        self.ok("PutLogEvents", body).await
    }
}

#[tokio::test]
async fn a_group_and_a_stream_are_described_with_their_members() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    endpoint.put(&[(1, "x")]).await;
    let tags = json!({ "resourceArn": "arn:aws:logs:eu-west-1:123456789012:log-group:g", "tags": { "a": "b" } });
    endpoint.ok("TagResource", tags).await;
    endpoint.ok("PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": 7 })).await;
    insta::assert_snapshot!(endpoint.send("DescribeLogGroups", json!({})).await, @r#"200 {"logGroups":[{"arn":"arn:aws:logs:eu-west-1:123456789012:log-group:g:*","creationTime":1767323045000,"logGroupArn":"arn:aws:logs:eu-west-1:123456789012:log-group:g","logGroupClass":"STANDARD","logGroupName":"g","metricFilterCount":0,"retentionInDays":7,"storedBytes":27}]}"#);
    insta::assert_snapshot!(
        endpoint.send("DescribeLogStreams", json!({ "logGroupIdentifier": "g" })).await, @r#"200 {"logStreams":[{"arn":"arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream:s/1","creationTime":1767323045000,"firstEventTimestamp":1767323045001,"lastEventTimestamp":1767323045001,"lastIngestionTime":1767323045000,"logStreamName":"s/1","storedBytes":0,"uploadSequenceToken":"732f31"}]}"#);
    insta::assert_snapshot!(
        endpoint.send("ListTagsLogGroup", json!({ "logGroupName": "g" })).await, @r#"200 {"tags":{"a":"b"}}"#);
}

#[tokio::test]
async fn a_page_has_both_tokens_and_the_last_one_stays_the_same() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    endpoint.put(&[(1, "one"), (2, "two")]).await;
    let ask = json!({ "logGroupName": "g", "logStreamName": "s/1", "startFromHead": true });
    insta::assert_snapshot!(endpoint.send("GetLogEvents", ask.clone()).await, @r#"200 {"events":[{"ingestionTime":1767323045000,"message":"one","timestamp":1767323045001},{"ingestionTime":1767323045000,"message":"two","timestamp":1767323045002}],"nextBackwardToken":"b/00000000000000000000000176732304500200000000000000000001/s","nextForwardToken":"f/00000000000000000000000176732304500300000000000000000002/s"}"#);
    let first = endpoint.ok("GetLogEvents", ask.clone()).await;
    let mut again = ask.clone();
    again["nextToken"] = first["nextForwardToken"].clone();
    let end = endpoint.ok("GetLogEvents", again).await;
    assert_eq!(end["events"], json!([]));
    assert_eq!(end["nextForwardToken"], first["nextForwardToken"]);
    // The end is exclusive here, and inclusive in a search.
    let mut until = ask;
    until["endTime"] = json!(NOW_MS + 2);
    assert_eq!(endpoint.ok("GetLogEvents", until.clone()).await["events"][0]["message"], "one");
    let found =
        endpoint.ok("FilterLogEvents", json!({ "logGroupName": "g", "endTime": NOW_MS + 2 }));
    assert_eq!(found.await["events"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_search_tells_a_token_only_where_there_is_more() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    endpoint.put(&[(1, "one"), (2, "two ERROR")]).await;
    let ask = json!({ "logGroupName": "g", "filterPattern": "ERROR", "interleaved": true });
    insta::assert_snapshot!(endpoint.send("FilterLogEvents", ask).await, @r#"200 {"events":[{"eventId":"00000000000000000000000176732304500300000000000000000002","ingestionTime":1767323045000,"logStreamName":"s/1","message":"two ERROR","timestamp":1767323045002}],"searchedLogStreams":[]}"#);
    let page = endpoint.ok("FilterLogEvents", json!({ "logGroupName": "g", "limit": 1 })).await;
    let next = json!({ "logGroupName": "g", "limit": 1, "nextToken": page["nextToken"] });
    let rest = endpoint.ok("FilterLogEvents", next).await;
    assert_eq!(rest["events"][0]["message"], "two ERROR");
    assert_eq!(rest.get("nextToken"), None);
}

#[tokio::test]
async fn events_out_of_their_time_are_told_by_their_indexes() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    assert_eq!(endpoint.put(&[(0, "fine")]).await, json!({}));
    let day = 86_400_000;
    let answer = endpoint.put(&[(-15 * day, "old"), (0, "fine"), (day, "new")]).await;
    let expected = json!({ "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2 });
    assert_eq!(answer, json!({ "rejectedLogEventsInfo": expected }));
}

#[tokio::test]
async fn what_aws_refuses_is_refused_in_its_words() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    let put =
        |events: Value| json!({ "logGroupName": "g", "logStreamName": "s/1", "logEvents": events });
    let event = |at: i64, text: &str| json!({ "timestamp": NOW_MS + at, "message": text });
    let many: Vec<Value> = (0..10_001).map(|_| event(0, "x")).collect();
    let cases = [
        ("CreateLogGroup", json!({ "logGroupName": "g" })),
        ("CreateLogGroup", json!({ "logGroupName": "a b" })),
        ("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s/1" })),
        ("CreateLogStream", json!({ "logGroupName": "h", "logStreamName": "s" })),
        ("CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "a:b" })),
        ("DeleteLogGroup", json!({ "logGroupName": "h" })),
        ("PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": 8 })),
        ("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "t" })),
        ("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s/1", "nextToken": "x" })),
        ("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s/1", "limit": 10_001 })),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "g", "logStreamNames": ["s/1"], "logStreamNamePrefix": "s" }),
        ),
        ("FilterLogEvents", json!({ "logGroupName": "g", "filterPattern": "{ $.a }" })),
        (
            "DescribeLogStreams",
            json!({ "logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "s" }),
        ),
        ("PutLogEvents", put(json!([event(1, "b"), event(0, "a")]))),
        ("PutLogEvents", put(json!([event(0, "")]))),
        ("PutLogEvents", put(json!([event(0, &"x".repeat(1_048_551))]))),
        ("PutLogEvents", put(json!([event(-86_400_001, "a"), event(0, "b")]))),
        ("PutLogEvents", put(json!(many))),
        ("StartQuery", json!({})),
    ];
    let mut told = Vec::new();
    for (action, body) in cases {
        let answer = endpoint.send(action, body).await;
        told.push(format!("{action}: {}", answer.replace("com.amazonaws.cloudwatchlogs#", "")));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    CreateLogGroup: 400 {"__type":"ResourceAlreadyExistsException","message":"The specified log group already exists"}
    CreateLogGroup: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+ and have length 1 to 512"}
    CreateLogStream: 400 {"__type":"ResourceAlreadyExistsException","message":"The specified log stream already exists"}
    CreateLogStream: 400 {"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}
    CreateLogStream: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value 'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]* and have length 1 to 512"}
    DeleteLogGroup: 400 {"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}
    PutRetentionPolicy: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value '8' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]"}
    GetLogEvents: 400 {"__type":"ResourceNotFoundException","message":"The specified log stream does not exist."}
    GetLogEvents: 400 {"__type":"InvalidParameterException","message":"The specified nextToken is invalid."}
    GetLogEvents: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value between 1 and 10000"}
    FilterLogEvents: 400 {"__type":"InvalidParameterException","message":"Both logStreamNames and logStreamNamePrefix cannot be specified."}
    FilterLogEvents: 400 {"__type":"InvalidParameterException","message":"Invalid filter pattern: a comparison is missing: one of = != > >= < <="}
    DescribeLogStreams: 400 {"__type":"InvalidParameterException","message":"Cannot order by LastEventTime with a logStreamNamePrefix."}
    PutLogEvents: 400 {"__type":"InvalidParameterException","message":"Log events in a single PutLogEvents request must be in chronological order."}
    PutLogEvents: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value '' at 'logEvents.1.member.message' failed to satisfy constraint: Member must have length greater than or equal to 1"}
    PutLogEvents: 400 {"__type":"InvalidParameterException","message":"Upload too large: 1048577 bytes exceeds limit of 1048576"}
    PutLogEvents: 400 {"__type":"InvalidParameterException","message":"The batch of log events in a single PutLogEvents request cannot span more than 24 hours."}
    PutLogEvents: 400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value '10001 events' at 'logEvents' failed to satisfy constraint: Member must have length between 1 and 10000"}
    StartQuery: 400 {"__type":"UnknownOperationException","message":"windtunnel does not serve the operation StartQuery of CloudWatch Logs."}
    "#);
    assert_eq!(endpoint.put(&[(0, &"x".repeat(1_048_550))]).await, json!({}));
}

#[tokio::test]
async fn a_live_tail_begins_with_its_initial_response() {
    let endpoint = endpoint().await;
    endpoint.stream().await;
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:g";
    let request = http::Request::post("/")
        .header("x-amz-target", "Logs_20140328.StartLiveTail")
        .body(Body::from(
            json!({ "logGroupIdentifiers": [arn], "logEventFilterPattern": "x" }).to_string(),
        ))
        .unwrap();
    let response = endpoint.service.call(request).await;
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut frames = response.into_body().into_data_stream();
    let mut next = async || {
        let frame = futures::StreamExt::next(&mut frames).await.unwrap().unwrap();
        String::from_utf8_lossy(&frame).into_owned()
    };
    assert!(next().await.contains("initial-response"));
    assert!(next().await.contains("sessionStart"));
    endpoint.put(&[(0, "one x"), (0, "two")]).await;
    let update = next().await;
    assert!(update.contains("one x") && !update.contains("two"), "{update}");
    // Where windtunnel stops, so does the tail.
    endpoint.service.logs.close();
    assert!(futures::StreamExt::next(&mut frames).await.is_none());
}
