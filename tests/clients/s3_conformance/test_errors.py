"""The shape of errors, and what a request that fits no operation is told."""

import re
import xml.etree.ElementTree as xml

import pytest
from conftest import headers, refused
from wire import send


def test_shape(s3, bucket):
    answer = send("GET", f"/{bucket}/absent")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    root = xml.fromstring(answer.text)
    assert root.tag == "Error", "no namespace"
    told = {child.tag: child.text for child in root}
    assert told["Code"] == "NoSuchKey" and told["Message"] and told["HostId"]
    assert told["RequestId"] == answer.headers["x-amz-request-id"]
    assert told.get("Key") == "absent" or told.get("Resource")


def test_ids_are_of_each_request(bucket):
    ids = {send("GET", f"/{bucket}").headers["x-amz-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_head_has_no_body(bucket):
    answer = send("HEAD", f"/{bucket}/absent")
    assert answer.status == 404 and answer.body == b""


def test_boto3_sees_the_request_id(s3):
    answer = refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="nobody-made-this-one")
    assert answer["ResponseMetadata"]["RequestId"] == headers(answer)["x-amz-request-id"]


def test_names_are_escaped(bucket):
    answer = send("GET", f"/{bucket}/%3Cb%3E%26")
    xml.fromstring(answer.text)
    assert answer.status == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/{bucket}/k"), ("POST", "/{bucket}"), ("PUT", "/"), ("DELETE", "/"), ("POST", "/")],
)
def test_wrong_method(bucket, method, target):
    answer = send(method, target.format(bucket=bucket))
    assert answer.status in (400, 405, 412, 501) and answer.code, answer


@pytest.mark.parametrize("sub", ["metadataTable", "selectnonsense&unknown", "session"])
def test_unknown_sub_resources(bucket, sub):
    assert send("GET", f"/{bucket}?{sub}").status in (200, 400, 403, 404, 501)


def test_xml_has_the_namespace(bucket):
    for target in (f"/{bucket}", f"/{bucket}?versions", f"/{bucket}?uploads", "/"):
        root = xml.fromstring(send("GET", target).text)
        assert re.match(r"\{http://s3\.amazonaws\.com/doc/2006-03-01/\}", root.tag), target
