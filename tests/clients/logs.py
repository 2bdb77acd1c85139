"""CloudWatch Logs as boto3 and watchtower see it."""

import logging
import sys
import threading
import time

import boto3
import watchtower
from botocore.config import Config
from waiting import cases, refused

logs = boto3.client("logs")
NOW = int(time.time() * 1000)


def put(group, stream, *lines, at=0):
    events = [{"timestamp": NOW + at + number, "message": line} for number, line in enumerate(lines)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def stream(group, name):
    try:
        logs.create_log_group(logGroupName=group)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    logs.create_log_stream(logGroupName=group, logStreamName=name)


def groups():
    for name in ("/aws/a", "/aws/b", "/other"):
        logs.create_log_group(logGroupName=name, tags={"made": "here"})
    refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName="/other")
    names = [group["logGroupName"] for group in logs.describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]]
    assert names == ["/aws/a", "/aws/b"]
    pages = logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1})
    assert sum(len(page["logGroups"]) for page in pages) == 3
    (group,) = logs.describe_log_groups(logGroupNamePattern="ther")["logGroups"]
    assert group["arn"] == group["logGroupArn"] + ":*"
    logs.put_retention_policy(logGroupName="/other", retentionInDays=14)
    assert logs.describe_log_groups(logGroupNamePrefix="/other")["logGroups"][0]["retentionInDays"] == 14
    logs.delete_retention_policy(logGroupName="/other")
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix="/other")["logGroups"][0]
    arn = group["logGroupArn"]
    logs.tag_resource(resourceArn=arn, tags={"more": "tags"})
    logs.untag_resource(resourceArn=arn, tagKeys=["made"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "tags"}
    assert logs.list_tags_log_group(logGroupName="/other")["tags"] == {"more": "tags"}
    logs.delete_log_group(logGroupName="/other")
    refused("ResourceNotFoundException", logs.delete_log_group, logGroupName="/other")


def pages():
    stream("pages", "s")
    for batch in range(5):
        put("pages", "s", *(f"line {batch * 100 + number}" for number in range(100)), at=batch * 100)
    expected = [f"line {number}" for number in range(500)]
    found, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName="pages", logStreamName="s", startFromHead=True, limit=70, **token)
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        found += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert found == expected
    newest = logs.get_log_events(logGroupName="pages", logStreamName="s", limit=3)
    assert [event["message"] for event in newest["events"]] == expected[-3:]
    paginator = logs.get_paginator("filter_log_events")
    events = [
        event
        for page in paginator.paginate(logGroupName="pages", filterPattern='"line 4"', PaginationConfig={"PageSize": 30})
        for event in page["events"]
    ]
    assert [event["message"] for event in events] == [line for line in expected if "line 4" in line]
    assert len({event["eventId"] for event in events}) == len(events)
    (told,) = logs.describe_log_streams(logGroupName="pages", orderBy="LastEventTime", descending=True)["logStreams"]
    assert told["firstEventTimestamp"] == NOW and told["lastEventTimestamp"] == NOW + 499


def live_tail():
    stream("tail", "s")
    # botocore would put `stream-` before the host, which no resolver knows.
    client = boto3.client("logs", config=Config(inject_host_prefix=False))
    (group,) = client.describe_log_groups(logGroupNamePrefix="tail")["logGroups"]
    answer = client.start_live_tail(logGroupIdentifiers=[group["logGroupArn"]], logEventFilterPattern="ERROR")
    seen = []
    for event in answer["responseStream"]:
        if "sessionStart" in event:
            put("tail", "s", "an ERROR", "all fine")
        for result in event.get("sessionUpdate", {}).get("sessionResults", []):
            seen.append(result["message"])
        if seen:
            break
    assert seen == ["an ERROR"]
    answer["responseStream"].close()


def handler():
    """watchtower makes group and stream by itself, and loses no line."""
    writer = watchtower.CloudWatchLogHandler(log_group_name="tower", log_stream_name="a/b=c", boto3_client=logs)
    logger = logging.getLogger("tower")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(writer)
    for number in range(300):
        logger.info("line %d", number)
    logger.info({"level": "error", "code": 7})
    writer.close()
    page = logs.get_log_events(logGroupName="tower", logStreamName="a/b=c", startFromHead=True)
    assert [event["message"] for event in page["events"][:300]] == [f"line {number}" for number in range(300)]
    (found,) = logs.filter_log_events(logGroupName="tower", filterPattern='{ $.level = "error" && $.code > 5 }')["events"]
    assert '"code": 7' in found["message"]


def kept():
    """Writes until it is killed with its server; prints the last line that was acknowledged."""
    stream("kept", "s")
    number = 0
    while True:
        try:
            put("kept", "s", f"line {number}", at=number)
        except Exception:
            break
        print(f"acknowledged {number}", flush=True)
        number += 1


def still_there(last):
    """After a restart: every line up to the one that is given, once."""
    last = int(last)
    found, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName="kept", logStreamName="s", startFromHead=True, **token)
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        found += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert found[: last + 1] == [f"line {number}" for number in range(last + 1)]
    assert len(found) <= last + 2, "at most the line on its way is more"


def load(seconds):
    """20 streams, 5,000 lines a second in all, for the given seconds: none is lost, and others hardly notice."""
    streams, batch = 20, 125
    per_stream = int(float(seconds) * 5000 / streams / batch)
    objects, queues = boto3.client("s3"), boto3.client("sqs")
    objects.create_bucket(Bucket="beside-the-logs")
    queue = queues.create_queue(QueueName="beside-the-logs")["QueueUrl"]
    for number in range(streams):
        stream("load", f"s{number}")

    def latencies():
        taken = []
        for number in range(60):
            began = time.perf_counter()
            objects.put_object(Bucket="beside-the-logs", Key=f"k{number}", Body=b"x" * 1000)
            queues.send_message(QueueUrl=queue, MessageBody="x")
            taken.append(time.perf_counter() - began)
        return taken

    quiet = latencies()
    began = time.perf_counter()

    def write(number):
        client = boto3.client("logs")
        for turn in range(per_stream):
            due = began + turn * batch * streams / 5000
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)  # a task: it keeps its pace
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": f"{turn * batch + line} {'x' * 110}"} for line in range(batch)]
            client.put_log_events(logGroupName="load", logStreamName=f"s{number}", logEvents=events)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(streams)]
    for writer in writers:
        writer.start()
    busy = latencies()
    for writer in writers:
        writer.join()
    took = time.perf_counter() - began
    for number in range(streams):
        found, token = [], {}
        while True:
            page = logs.get_log_events(logGroupName="load", logStreamName=f"s{number}", startFromHead=True, **token)
            if token.get("nextToken") == page["nextForwardToken"]:
                break
            found += [int(event["message"].split()[0]) for event in page["events"]]
            token = {"nextToken": page["nextForwardToken"]}
        assert found == list(range(per_stream * batch)), f"s{number} lost or doubled lines"
    lines = streams * per_stream * batch
    print(f"figure: logs: {lines} lines from {streams} streams in {took:.1f} s ({lines / took:.0f}/s), none lost")
    busy, quiet = (sorted(taken)[len(taken) // 2] * 1000 for taken in (busy, quiet))
    print(f"figure: logs: a put and a send beside it take {busy:.1f} ms, {quiet:.1f} ms without it (p50)")


if __name__ == "__main__":
    cases(sys.modules[__name__])
