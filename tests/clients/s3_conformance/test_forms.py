"""Form uploads (POST policies)."""

import base64
import datetime
import hashlib
import hmac
import json

import pytest
import requests
from conftest import connected, read, refused
from wire import ENDPOINT, OWNER, crc32, form, mac, signing_key, stamp


def policy(bucket, conditions=None, minutes=10, **more):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    if conditions is None:
        conditions = [["starts-with", "$key", ""], ["starts-with", "$Content-Type", ""]]
    expiration = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"expiration": expiration, "conditions": [{"bucket": bucket}, *conditions], **more}


def signed(bucket, fields, document=None, secret=OWNER[1], who=OWNER[0]):
    """The fields with a SigV4 policy in front."""
    when = stamp()
    credential = f"{who}/{when[:8]}/us-east-1/s3/aws4_request"
    own = [("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", credential), ("x-amz-date", when)]
    document = document or policy(bucket)
    if isinstance(document, dict) and isinstance(document.get("conditions"), list):
        document = {**document, "conditions": [*document["conditions"], *({n: v} for n, v in own)]}
    text = document if isinstance(document, str) else json.dumps(document)
    encoded = base64.b64encode(text.encode()).decode()
    signature = mac(signing_key(secret, when[:8]), encoded).hex()
    return [*fields, *own, ("policy", encoded), ("x-amz-signature", signature)]


def test_a_file(s3, bucket):
    answer = form(bucket, signed(bucket, [("key", "k"), ("Content-Type", "text/odd")]), b"from a form")
    assert answer.status == 204, answer
    assert answer.headers["etag"] == f'"{hashlib.md5(b"from a form").hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"from a form" and got["ContentType"] == "text/odd"


def test_by_boto3(s3, bucket):
    for version in ("s3v4", "s3"):
        client = connected(OWNER, signature_version=version)
        given = client.generate_presigned_post(bucket, f"by-{version}/${{filename}}", ExpiresIn=60)
        answer = requests.post(given["url"], data=given["fields"], files={"file": ("n.txt", b"x")}, timeout=10)
        assert answer.status_code == 204, (version, answer.text)
        assert read(s3, bucket, f"by-{version}/n.txt") == b"x"


def test_the_files_own_name(s3, bucket):
    assert form(bucket, signed(bucket, [("key", "dir/${filename}")]), name="mine.txt").status == 204
    assert read(s3, bucket, "dir/mine.txt") == b"file content"


@pytest.mark.parametrize(("asked", "status"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)])
def test_status_of_success(bucket, asked, status):
    conditions = [["starts-with", "$key", ""], ["starts-with", "$success_action_status", ""]]
    fields = [("key", "k"), ("success_action_status", asked)]
    answer = form(bucket, signed(bucket, fields, policy(bucket, conditions)))
    assert answer.status == status, answer
    if status == 201:
        assert (answer.inside("Bucket"), answer.inside("Key")) == (bucket, "k") and answer.inside("Location")
        assert answer.text.count("PostResponse") == 2 and answer.inside("ETag")


def test_redirect_of_success(bucket):
    conditions = [["starts-with", "$key", ""], ["starts-with", "$success_action_redirect", ""]]
    fields = [("key", "k"), ("success_action_redirect", "http://localhost/done")]
    answer = form(bucket, signed(bucket, fields, policy(bucket, conditions)))
    assert answer.status == 303, answer
    assert answer.headers["location"].startswith(f"http://localhost/done?bucket={bucket}&key=k&etag=%22")


def test_metadata_and_headers(s3, bucket):
    conditions = [["starts-with", "$key", ""], ["starts-with", "$x-amz-meta-a", ""], {"Cache-Control": "no-store"}]
    fields = [("key", "k"), ("x-amz-meta-a", "1"), ("Cache-Control", "no-store")]
    assert form(bucket, signed(bucket, fields, policy(bucket, conditions))).status == 204
    got = s3.head_object(Bucket=bucket, Key="k")
    assert got["Metadata"] == {"a": "1"} and got["CacheControl"] == "no-store"


def test_names_of_fields_have_no_case(bucket):
    conditions = [["StArTs-WiTh", "$KeY", ""]]
    answer = form(bucket, signed(bucket, [("kEy", "k")], policy(bucket, conditions)))
    assert answer.status in (204, 400)  # The operator's case matters to AWS, the field's does not.
    assert form(bucket, signed(bucket, [("kEy", "k")])).status == 204


@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ([["eq", "$key", "other"]], []),
        ([["starts-with", "$key", "other/"]], []),
        ([{"key": "other"}], []),
        ([["starts-with", "$key", ""]], [("x-amz-meta-uncovered", "1")]),
        ([["starts-with", "$key", ""], {"bucket": "another"}], []),
        ([["starts-with", "$key", ""], ["eq", "$x-amz-meta-absent", "1"]], []),
    ],
)
def test_policy_that_is_broken(s3, bucket, conditions, fields):
    answer = form(bucket, signed(bucket, [("key", "k"), *fields], policy(bucket, conditions)))
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


def test_ignored_fields_need_no_condition(bucket):
    assert form(bucket, signed(bucket, [("key", "k"), ("x-ignore-me", "1")])).status == 204


@pytest.mark.parametrize(("low", "high", "code"), [(0, 5, "EntityTooLarge"), (100, 200, "EntityTooSmall")])
def test_length_out_of_range(bucket, low, high, code):
    conditions = [["starts-with", "$key", ""], ["content-length-range", low, high]]
    answer = form(bucket, signed(bucket, [("key", "k")], policy(bucket, conditions)))
    assert (answer.status, answer.code) == (400, code), answer


def test_length_within_range(bucket):
    conditions = [["starts-with", "$key", ""], ["content-length-range", 12, 12]]
    assert form(bucket, signed(bucket, [("key", "k")], policy(bucket, conditions))).status == 204


def test_expired(bucket):
    answer = form(bucket, signed(bucket, [("key", "k")], policy(bucket, minutes=-1)))
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer


@pytest.mark.parametrize(
    "document",
    ["not json", '{"conditions": []}', '{"expiration": "2999-01-01T00:00:00Z"}', '{"expiration": 5, "conditions": []}'],
)
def test_policy_that_cannot_be_read(bucket, document):
    answer = form(bucket, signed(bucket, [("key", "k")], document))
    assert answer.status == 400 and answer.code in ("InvalidPolicyDocument", "MalformedPOSTRequest"), answer


def test_wrong_signature(bucket):
    answer = form(bucket, signed(bucket, [("key", "k")], secret="wrong"))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), answer


def test_unsigned_and_half_signed(bucket):
    answer = form(bucket, [("key", "k")])
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer
    half = [pair for pair in signed(bucket, [("key", "k")]) if pair[0] != "x-amz-signature"]
    assert form(bucket, half).status in (400, 403)


def test_no_key(bucket):
    answer = form(bucket, signed(bucket, [], policy(bucket, [])))
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_sigv2(s3, bucket):
    text = base64.b64encode(json.dumps(policy(bucket)).encode()).decode()
    signature = base64.b64encode(hmac.new(OWNER[1].encode(), text.encode(), hashlib.sha1).digest()).decode()
    fields = [("key", "k"), ("AWSAccessKeyId", OWNER[0]), ("policy", text), ("signature", signature)]
    assert form(bucket, fields).status == 204
    fields[-1] = ("signature", "wrong")
    answer = form(bucket, fields)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), answer


def test_escaped_dollar(s3, bucket):
    conditions = [["eq", "$key", "\\$dollar"]]
    answer = form(bucket, signed(bucket, [("key", "$dollar")], policy(bucket, conditions)))
    assert answer.status == 204, answer


def test_tags(s3, bucket):
    xml = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    conditions = [["starts-with", "$key", ""], ["starts-with", "$tagging", ""]]
    assert form(bucket, signed(bucket, [("key", "k"), ("tagging", xml)], policy(bucket, conditions))).status == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]


@pytest.mark.parametrize(("of", "status"), [(b"file content", 204), (b"other", 400)])
def test_checksum(bucket, of, status):
    conditions = [["starts-with", "$key", ""], ["starts-with", "$x-amz-checksum-crc32", ""]]
    fields = [("key", "k"), ("x-amz-checksum-crc32", crc32(of))]
    assert form(bucket, signed(bucket, fields, policy(bucket, conditions))).status == status


def test_missing_bucket(bucket):
    assert form("nobody-made-this-one", signed("nobody-made-this-one", [("key", "k")])).status == 404


def test_anonymous_to_a_public_bucket(s3, writer_bucket):
    s3.put_bucket_acl(Bucket=writer_bucket, ACL="public-read-write")
    assert form(writer_bucket, [("key", "k")]).status == 204
    assert read(s3, writer_bucket, "k") == b"file content"


def test_broken_multipart_body(bucket):
    from wire import raw

    head = {"host": ENDPOINT.netloc, "Content-Type": "multipart/form-data; boundary=abc", "Content-Length": "20"}
    answer = raw("POST", f"/{bucket}", head, b"--abc\r\nno headers\r\n ")
    assert 400 <= answer.status < 500, answer
