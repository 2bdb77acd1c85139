//! The wire: what clients send, byte for byte what they get.

use axum::body::Body;
use serde_json::Value;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::config::Durability;
use crate::db::Db;
use crate::queues;

struct Endpoint {
    sqs: Sqs,
    clock: Clock,
    _folder: tempfile::TempDir,
}

async fn endpoint() -> Endpoint {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(1_767_323_045_000));
    let path = folder.path().join("db");
    let db = Db::open(&path, Durability::Process, &[queues::SCHEMA], clock.clone()).unwrap();
    let queues = Queues::open(db, clock.clone()).await.unwrap();
    let account = AccountId::parse("123456789012").unwrap();
    let sqs = Sqs::new(queues, account, Region::parse("eu-west-1").unwrap());
    Endpoint { sqs, clock, _folder: folder }
}

const QUEUE: &str = "http://elsewhere:9324/000000000000/q";

impl Endpoint {
    /// Sends a JSON request; the answer's status, error header and body, ids redacted.
    async fn json(&self, action: &str, body: &str) -> String {
        let request = http::Request::post("/")
            .header("host", "127.0.0.1:4570")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (text, _) = self.exchange(request).await;
        text
    }

    /// The same, as the body alone, as it is.
    async fn value(&self, action: &str, body: Value) -> Value {
        let request = http::Request::post("/")
            .header("host", "127.0.0.1:4570")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let (_, body) = self.exchange(request).await;
        serde_json::from_str(&body).unwrap()
    }

    async fn query(&self, path: &str, form: &str) -> String {
        let request = http::Request::post(path)
            .header("host", "localhost:4570")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        let (text, _) = self.exchange(request).await;
        text
    }

    async fn exchange(&self, mut request: Request) -> (String, String) {
        request.extensions_mut().insert(RequestId("request-1".to_owned()));
        let response = self.sqs.call(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut text = parts.status.as_u16().to_string();
        if let Some(error) = parts.headers.get("x-amzn-query-error") {
            text.push(' ');
            text.push_str(error.to_str().unwrap());
        }
        text.push('\n');
        text.push_str(&redact(&body));
        (text, body)
    }

    async fn create(&self, attributes: Value) {
        self.value("CreateQueue", json!({ "QueueName": "q", "Attributes": attributes })).await;
    }
}

/// Replaces what is new in every run.
fn redact(body: &str) -> String {
    let mut text = body.to_owned();
    for (open, close) in [
        ("\"MessageId\":\"", '"'),
        ("\"ReceiptHandle\":\"", '"'),
        ("<MessageId>", '<'),
        ("<ReceiptHandle>", '<'),
    ] {
        let mut from = 0;
        while let Some(at) = text[from..].find(open) {
            let start = from + at + open.len();
            let end = start + text[start..].find(close).unwrap();
            text.replace_range(start..end, "…");
            from = start;
        }
    }
    text
}

#[tokio::test]
async fn kombu_declares_publishes_polls_and_acknowledges() {
    let endpoint = endpoint().await;
    endpoint.create(json!({ "VisibilityTimeout": "43200" })).await;
    let url = format!(r#""QueueUrl":"{QUEUE}""#);
    let declare = format!(r#"{{{url},"AttributeNames":["ApproximateNumberOfMessages"]}}"#);
    insta::assert_snapshot!(endpoint.json("GetQueueAttributes", &declare).await, @r#"
    200
    {"Attributes":{"ApproximateNumberOfMessages":"0"}}
    "#);
    let publish = format!(r#"{{{url},"MessageBody":"eyJib2R5IjogIiJ9"}}"#);
    insta::assert_snapshot!(endpoint.json("SendMessage", &publish).await, @r#"
    200
    {"MD5OfMessageBody":"956c4ce58f2895f0a16a98bb265cd4e1","MessageId":"…"}
    "#);
    // kombu 5.4's stray member asks for nothing.
    let poll = format!(
        r#"{{{url},"MaxNumberOfMessages":10,"WaitTimeSeconds":10,"AttributeName.1":"ApproximateReceiveCount"}}"#
    );
    insta::assert_snapshot!(endpoint.json("ReceiveMessage", &poll).await, @r#"
    200
    {"Messages":[{"Body":"eyJib2R5IjogIiJ9","MD5OfBody":"956c4ce58f2895f0a16a98bb265cd4e1","MessageId":"…","ReceiptHandle":"…"}]}
    "#);
    endpoint.clock.advance(std::time::Duration::from_hours(12));
    let received = endpoint
        .value("ReceiveMessage", json!({ "QueueUrl": "q", "AttributeNames": ["ALL"] }))
        .await;
    assert_eq!(received["Messages"][0]["Attributes"]["ApproximateReceiveCount"], "2");
    let receipt = received["Messages"][0]["ReceiptHandle"].as_str().unwrap();
    assert!(receipt.len() < 500, "MWAA reserves little for a receipt");
    let acknowledge = format!(r#"{{{url},"ReceiptHandle":"{receipt}"}}"#);
    for _ in 0..2 {
        assert_eq!(endpoint.json("DeleteMessage", &acknowledge).await, "200\n{}");
    }
    let idle = format!(r#"{{{url},"WaitTimeSeconds":0}}"#);
    insta::assert_snapshot!(endpoint.json("ReceiveMessage", &idle).await, @"
    200
    {}
    ");
}

#[tokio::test]
async fn failures_carry_both_codes() {
    let endpoint = endpoint().await;
    let unknown = endpoint.json("GetQueueUrl", r#"{"QueueName":"nobody"}"#).await;
    insta::assert_snapshot!(unknown, @r#"
    400 AWS.SimpleQueueService.NonExistentQueue;Sender
    {"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}
    "#);
    endpoint.create(json!({ "VisibilityTimeout": "30" })).await;
    let again = r#"{"QueueName":"q","Attributes":{"VisibilityTimeout":"31"}}"#;
    insta::assert_snapshot!(endpoint.json("CreateQueue", again).await, @r#"
    400 QueueAlreadyExists;Sender
    {"__type":"com.amazonaws.sqs#QueueNameExists","message":"A queue already exists with the same name and a different value for attribute VisibilityTimeout"}
    "#);
    let many = r#"{"QueueUrl":"/0/q","MaxNumberOfMessages":11}"#;
    insta::assert_snapshot!(endpoint.json("ReceiveMessage", many).await, @r#"
    400 InvalidParameterValue;Sender
    {"__type":"com.amazonaws.sqs#InvalidParameterValue","message":"Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."}
    "#);
    let receipt = r#"{"QueueUrl":"/0/q","ReceiptHandle":"x","VisibilityTimeout":0}"#;
    insta::assert_snapshot!(endpoint.json("ChangeMessageVisibility", receipt).await, @r#"
    400 ReceiptHandleIsInvalid;Sender
    {"__type":"com.amazonaws.sqs#ReceiptHandleIsInvalid","message":"The input receipt handle \"x\" is not a valid receipt handle."}
    "#);
    for (action, body, code) in [
        ("CreateQueue", r#"{"QueueName":"a b"}"#, "InvalidParameterValue"),
        ("CreateQueue", r#"{"QueueName":"q.fifo"}"#, "InvalidParameterValue"),
        (
            "CreateQueue",
            r#"{"QueueName":"q2","Attributes":{"VisibilityTimeout":"84600"}}"#,
            "InvalidAttributeValue",
        ),
        (
            "CreateQueue",
            r#"{"QueueName":"q2","Attributes":{"Colour":"1"}}"#,
            "InvalidAttributeName",
        ),
        ("SendMessage", r#"{"QueueUrl":"q"}"#, "MissingParameter"),
        ("SendMessage", r#"{"QueueUrl":"q","MessageBody":"\u0001"}"#, "InvalidMessageContents"),
        ("SendMessage", "[]", "InvalidParameterValue"),
        (
            "GetQueueAttributes",
            r#"{"QueueUrl":"q","AttributeNames":["Colour"]}"#,
            "InvalidAttributeName",
        ),
        (
            "SendMessageBatch",
            r#"{"QueueUrl":"q","Entries":[]}"#,
            "AWS.SimpleQueueService.EmptyBatchRequest",
        ),
        (
            "DeleteMessageBatch",
            r#"{"QueueUrl":"q","Entries":[{"Id":"1","ReceiptHandle":"x"},{"Id":"1","ReceiptHandle":"x"}]}"#,
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        ),
        ("Dance", "{}", "InvalidAction"),
    ] {
        let answer = endpoint.json(action, body).await;
        assert!(answer.starts_with(&format!("400 {code};Sender\n")), "{action} {body}: {answer}");
    }
}

#[tokio::test]
async fn a_batch_answers_for_each_entry() {
    let endpoint = endpoint().await;
    endpoint.create(json!({ "MaximumMessageSize": "1024" })).await;
    let large = "x".repeat(1025);
    let batch = format!(
        r#"{{"QueueUrl":"q","Entries":[{{"Id":"a","MessageBody":"hello"}},{{"Id":"b","MessageBody":"{large}"}},
            {{"Id":"c","MessageBody":"late","DelaySeconds":901}}]}}"#
    );
    insta::assert_snapshot!(endpoint.json("SendMessageBatch", &batch).await, @r#"
    200
    {"Failed":[{"Code":"InvalidParameterValue","Id":"c","Message":"Value 901 for parameter DelaySeconds is invalid. Reason: Must be between 0 and 900, if provided.","SenderFault":true},{"Code":"InvalidParameterValue","Id":"b","Message":"One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.","SenderFault":true}],"Successful":[{"Id":"a","MD5OfMessageBody":"5d41402abc4b2a76b9719d911017c592","MessageId":"…"}]}
    "#);
}

#[tokio::test]
async fn queue_urls_are_the_callers_own_and_pages_go_on() {
    let endpoint = endpoint().await;
    for name in ["a1", "a2", "b1"] {
        endpoint.value("CreateQueue", json!({ "QueueName": name })).await;
    }
    insta::assert_snapshot!(endpoint.json("ListQueues", r#"{"QueueNamePrefix":""}"#).await, @r#"
    200
    {"QueueUrls":["http://127.0.0.1:4570/123456789012/a1","http://127.0.0.1:4570/123456789012/a2","http://127.0.0.1:4570/123456789012/b1"]}
    "#);
    let page =
        endpoint.value("ListQueues", json!({ "QueueNamePrefix": "a", "MaxResults": 1 })).await;
    let token = page["NextToken"].as_str().unwrap();
    let next = json!({ "QueueNamePrefix": "a", "MaxResults": 1, "NextToken": token });
    let next = endpoint.value("ListQueues", next).await;
    assert_eq!(next["QueueUrls"][0], "http://127.0.0.1:4570/123456789012/a2");
    assert_eq!(next.get("NextToken"), None);
    insta::assert_snapshot!(endpoint.json("ListQueues", r#"{"QueueNamePrefix":"z"}"#).await, @"
    200
    {}
    ");
}

#[tokio::test]
async fn attributes_are_shown_as_they_were_set() {
    let endpoint = endpoint().await;
    endpoint.value("CreateQueue", json!({ "QueueName": "dead" })).await;
    let redrive = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":"3"}"#;
    endpoint.create(json!({ "RedrivePolicy": redrive, "DelaySeconds": "5" })).await;
    insta::assert_snapshot!(endpoint.json("GetQueueAttributes", r#"{"QueueUrl":"q","AttributeNames":["All"]}"#).await, @r#"
    200
    {"Attributes":{"ApproximateNumberOfMessages":"0","ApproximateNumberOfMessagesDelayed":"0","ApproximateNumberOfMessagesNotVisible":"0","CreatedTimestamp":"1767323045","DelaySeconds":"5","LastModifiedTimestamp":"1767323045","MaximumMessageSize":"1048576","MessageRetentionPeriod":"345600","QueueArn":"arn:aws:sqs:eu-west-1:123456789012:q","ReceiveMessageWaitTimeSeconds":"0","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:123456789012:dead\",\"maxReceiveCount\":3}","SqsManagedSseEnabled":"true","VisibilityTimeout":"30"}}
    "#);
    insta::assert_snapshot!(endpoint.json("GetQueueAttributes", r#"{"QueueUrl":"q"}"#).await, @"
    200
    {}
    ");
    let none = json!({ "QueueUrl": "q", "Attributes": { "RedrivePolicy": "" } });
    endpoint.value("SetQueueAttributes", none).await;
    let asked = json!({ "QueueUrl": "q", "AttributeNames": ["RedrivePolicy"] });
    assert_eq!(endpoint.value("GetQueueAttributes", asked).await, json!({}));
    endpoint.value("TagQueue", json!({ "QueueUrl": "q", "Tags": { "a": "1", "b": "2" } })).await;
    endpoint.value("UntagQueue", json!({ "QueueUrl": "q", "TagKeys": ["b"] })).await;
    let tags = endpoint.value("ListQueueTags", json!({ "QueueUrl": "q" })).await;
    assert_eq!(tags, json!({ "Tags": { "a": "1" } }));
}

#[tokio::test]
async fn the_query_protocol_says_the_same_in_xml() {
    let endpoint = endpoint().await;
    let create =
        "Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=60";
    insta::assert_snapshot!(endpoint.query("/", create).await, @r#"
    200
    <?xml version="1.0"?><CreateQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><CreateQueueResult><QueueUrl>http://localhost:4570/123456789012/q</QueueUrl></CreateQueueResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></CreateQueueResponse>
    "#);
    let send = "Action=SendMessage&MessageBody=a+%3C+b&MessageAttribute.1.Name=n\
                &MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=7";
    insta::assert_snapshot!(endpoint.query("/123456789012/q", send).await, @r#"
    200
    <?xml version="1.0"?><SendMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageResult><MD5OfMessageAttributes>3a734e6fc44468814b287b503a526bff</MD5OfMessageAttributes><MD5OfMessageBody>9c2309929b5d4e6d89e1f48e3e3d6ebb</MD5OfMessageBody><MessageId>…</MessageId></SendMessageResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></SendMessageResponse>
    "#);
    let receive = "/123456789012/q?Action=ReceiveMessage&AttributeName.1=ApproximateReceiveCount&MessageAttributeName.1=All";
    insta::assert_snapshot!(endpoint.query(receive, "").await, @r#"
    200
    <?xml version="1.0"?><ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message><Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute><Body>a &lt; b</Body><MD5OfBody>9c2309929b5d4e6d89e1f48e3e3d6ebb</MD5OfBody><MD5OfMessageAttributes>3a734e6fc44468814b287b503a526bff</MD5OfMessageAttributes><MessageAttribute><Name>n</Name><Value><DataType>Number</DataType><StringValue>7</StringValue></Value></MessageAttribute><MessageId>…</MessageId><ReceiptHandle>…</ReceiptHandle></Message></ReceiveMessageResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></ReceiveMessageResponse>
    "#);
    let purge = "Action=PurgeQueue&QueueUrl=http%3A%2F%2Fx%2F1%2Fq";
    insta::assert_snapshot!(endpoint.query("/", purge).await, @r#"
    200
    <?xml version="1.0"?><PurgeQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></PurgeQueueResponse>
    "#);
    insta::assert_snapshot!(endpoint.query("/0/other", "Action=DeleteQueue").await, @r#"
    400
    <?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist.</Message></Error><RequestId>request-1</RequestId></ErrorResponse>
    "#);
    let batch = "Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=1\
                 &SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=2";
    insta::assert_snapshot!(endpoint.query("/0/q", batch).await, @r#"
    200
    <?xml version="1.0"?><SendMessageBatchResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageBatchResult><SendMessageBatchResultEntry><Id>a</Id><MD5OfMessageBody>c4ca4238a0b923820dcc509a6f75849b</MD5OfMessageBody><MessageId>…</MessageId></SendMessageBatchResultEntry><SendMessageBatchResultEntry><Id>b</Id><MD5OfMessageBody>c81e728d9d4c2f636f067f89cc14862c</MD5OfMessageBody><MessageId>…</MessageId></SendMessageBatchResultEntry></SendMessageBatchResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></SendMessageBatchResponse>
    "#);
    insta::assert_snapshot!(endpoint.query("/?Action=ListQueues", "").await, @r#"
    200
    <?xml version="1.0"?><ListQueuesResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ListQueuesResult><QueueUrl>http://localhost:4570/123456789012/q</QueueUrl></ListQueuesResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata></ListQueuesResponse>
    "#);
}
