"""SQS as boto3 sees it, and the query protocol as older SDKs speak it."""

import hashlib
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from waiting import cases, refused

sqs = boto3.client("sqs")


def queue(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def receive(url, **more):
    return sqs.receive_message(QueueUrl=url, **more).get("Messages", [])


def queues():
    url = queue("first", VisibilityTimeout="43200")
    assert sqs.get_queue_url(QueueName="first")["QueueUrl"] == url
    assert queue("first", VisibilityTimeout="43200") == url, "creating it again with the same attributes is fine"
    refused("QueueAlreadyExists", sqs.create_queue, QueueName="first", Attributes={"VisibilityTimeout": "1"})
    queue("second")
    assert len(sqs.list_queues()["QueueUrls"]) == 2
    assert sqs.list_queues(QueueNamePrefix="fi")["QueueUrls"] == [url]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "43200"
    assert attributes["QueueArn"].endswith(":first")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert attributes == {"VisibilityTimeout": "5"}
    sqs.delete_queue(QueueUrl=url)
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="first")


def messages():
    url = queue("messages")
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody="hello ☃",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "greeting"}},
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("hello ☃".encode()).hexdigest()
    (message,) = receive(url, MessageAttributeNames=["All"], AttributeNames=["All"])
    assert message["Body"] == "hello ☃" and message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"]["kind"]["StringValue"] == "greeting"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert receive(url) == [], "a received message is hidden"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    sqs.send_message(QueueUrl=url, MessageBody="to purge")
    sqs.purge_queue(QueueUrl=url)
    assert receive(url) == []
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")


def visibility():
    url = queue("visibility", VisibilityTimeout="1")
    sqs.send_message(QueueUrl=url, MessageBody="again")
    (first,) = receive(url)
    began = time.monotonic()
    (second,) = receive(url, WaitTimeSeconds=10, AttributeNames=["ApproximateReceiveCount"])
    waited = time.monotonic() - began
    assert 0.5 < waited < 5, f"a hidden message wakes the long poll when it is back: {waited:.2f} s"
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    # A superseded receipt deletes nothing; a change to zero brings the message back at once.
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    (third,) = receive(url)
    assert third["Body"] == "again"


def long_poll():
    url = queue("long-poll")
    took = []
    for _ in range(5):
        answer = {}

        def wait():
            answer["messages"] = receive(url, WaitTimeSeconds=20)
            answer["at"] = time.monotonic()

        waiter = threading.Thread(target=wait)
        waiter.start()
        # Whether the waiter is already waiting or not, the send must reach it at once.
        sqs.send_message(QueueUrl=url, MessageBody="now")
        sent = time.monotonic()
        waiter.join(30)
        assert [m["Body"] for m in answer["messages"]] == ["now"]
        took.append(answer["at"] - sent)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=answer["messages"][0]["ReceiptHandle"])
    print(f"figure: a sent message reaches a waiting receiver: {max(took) * 1000:.0f} ms (slowest of 5)")
    assert max(took) < 2, took
    began = time.monotonic()
    assert receive(url, WaitTimeSeconds=1) == []
    assert time.monotonic() - began >= 0.9, "an empty queue answers after the wait"


def batches():
    url = queue("batches")
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(sent["Successful"]) == 10 and not sent.get("Failed")
    got = {}
    while len(got) < 10:
        batch = receive(url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        assert batch, f"only {len(got)} of 10 messages came"
        got.update({m["Body"]: m["ReceiptHandle"] for m in batch})
    entries = [{"Id": body, "ReceiptHandle": receipt} for body, receipt in got.items()]
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert len(deleted["Successful"]) == 10
    refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
    twice = [{"Id": "a", "MessageBody": "x"}, {"Id": "a", "MessageBody": "y"}]
    refused(
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=twice
    )


def delayed():
    url = queue("delayed")
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
    assert receive(url) == []
    assert [m["Body"] for m in receive(url, WaitTimeSeconds=10)] == ["later"]


def query(**parameters):
    """One call of the query protocol, signed as botocore signs."""
    body = urllib.parse.urlencode({"Version": "2012-11-05", **parameters})
    session = boto3.Session()
    request = AWSRequest(
        "POST",
        os.environ["AWS_ENDPOINT_URL"] + "/",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    SigV4Auth(session.get_credentials(), "sqs", session.region_name).add_auth(request)
    prepared = request.prepare()
    call = urllib.request.Request(prepared.url, data=body.encode(), headers=dict(prepared.headers))
    try:
        with urllib.request.urlopen(call) as answer:
            return answer.status, xml.etree.ElementTree.fromstring(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, xml.etree.ElementTree.fromstring(error.read())


def text(tree, name):
    return next(e.text for e in tree.iter() if e.tag.split("}")[-1] == name)


def query_protocol():
    status, tree = query(Action="CreateQueue", QueueName="old-style")
    assert status == 200, text(tree, "Message")
    url = text(tree, "QueueUrl")
    status, tree = query(Action="SendMessage", QueueUrl=url, MessageBody="<&> by query")
    assert status == 200 and text(tree, "MD5OfMessageBody") == hashlib.md5(b"<&> by query").hexdigest()
    status, tree = query(Action="ReceiveMessage", QueueUrl=url, MaxNumberOfMessages="1")
    assert text(tree, "Body") == "<&> by query"
    status, tree = query(Action="DeleteMessage", QueueUrl=url, ReceiptHandle=text(tree, "ReceiptHandle"))
    assert status == 200
    status, tree = query(Action="GetQueueUrl", QueueName="absent")
    assert status == 400 and text(tree, "Code") == "AWS.SimpleQueueService.NonExistentQueue"


def fill(name, count):
    """Messages for `kept`, all acknowledged; two of them in a receiver's hands."""
    url = queue(name, VisibilityTimeout="1")
    for number in range(int(count)):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    assert len(receive(url, MaxNumberOfMessages=2)) >= 1


def kept(name, count):
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "1"
    seen = set()
    while batch := receive(url, MaxNumberOfMessages=10, WaitTimeSeconds=2):
        seen |= {m["Body"] for m in batch}
        for message in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert seen == {str(n) for n in range(int(count))}, seen


if __name__ == "__main__":
    cases(sys.modules[__name__])
