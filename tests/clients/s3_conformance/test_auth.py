"""Who asks: signatures of every kind, their dates, and what is said when they are wrong."""

import base64
import hashlib
import hmac
import time
from email.utils import formatdate

import pytest
from botocore.exceptions import ClientError
from conftest import connected, read
from wire import ENDPOINT, OWNER, bare, presigned, raw, send, sign, stamp

STRANGER = ("AKIANOBODYKNOWS00000", "whatever", "", "")


@pytest.fixture
def there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    return f"/{bucket}/k"


def test_a_wrong_secret(there):
    answer = send("GET", there, who=(OWNER[0], "wrong", "", ""))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_no_signature(there):
    for method in ("GET", "PUT", "DELETE", "POST"):
        answer = send(method, there, who=None)
        assert (answer.status, answer.code) == (403, "AccessDenied"), method
    assert send("GET", there, headers={"authorization": ""}, who=None).status == 403


def test_an_unknown_key_is_taken_for_the_default_identity(there, bucket):
    """The lenient mode, which is the default: people have profiles of their own."""
    assert send("GET", there, who=STRANGER).body == b"there"
    assert send("PUT", there, b"new", who=STRANGER).status == 200
    client = connected(STRANGER)
    client.put_object(Bucket=bucket, Key="k", Body=b"newer", ChecksumAlgorithm="CRC32")
    assert read(client, bucket, "k") == b"newer"


@pytest.mark.parametrize("shift", [-3600, 3600])
def test_clock_skew(there, shift):
    answer = send("GET", there, shift=shift)
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed"), answer


@pytest.mark.parametrize("date", ["", "whenever", "20260102"])
def test_dates_that_cannot_be_read(there, date):
    given = {"host": ENDPOINT.netloc, "x-amz-date": "20260102T030405Z"}
    sign("GET", there, given, hashlib.sha256(b"").hexdigest())
    given["x-amz-date"] = date
    answer = raw("GET", there, given)
    assert answer.status in (400, 403) and answer.code in (
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
    ), answer


@pytest.mark.parametrize("text", ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x", "Nonsense abc", "AWS broken", "=,="])
def test_malformed_authorization(there, text):
    answer = raw("GET", there, {"host": ENDPOINT.netloc, "authorization": text, "x-amz-date": stamp()})
    assert answer.status in (400, 403) and answer.code in (
        "AuthorizationHeaderMalformed",
        "InvalidArgument",
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    ), answer


def test_a_known_key_with_half_a_header(there):
    given = {"host": ENDPOINT.netloc, "x-amz-date": stamp()}
    given["authorization"] = f"AWS4-HMAC-SHA256 Credential={OWNER[0]}/20260102/us-east-1/s3/aws4_request"
    answer = raw("GET", there, given)
    assert answer.status in (400, 403) and answer.code in ("AuthorizationHeaderMalformed", "AccessDenied"), answer


def test_any_region_is_served(s3, bucket, there):
    import boto3

    client = boto3.client(
        "s3", region_name="ap-southeast-2", aws_access_key_id=OWNER[0], aws_secret_access_key=OWNER[1]
    )
    assert read(client, bucket, "k") == b"there"


def test_presigned_v4(there):
    assert raw("GET", presigned("GET", there), {"host": ENDPOINT.netloc}).body == b"there"
    assert raw("HEAD", presigned("HEAD", there), {"host": ENDPOINT.netloc}).status == 200
    put = raw("PUT", presigned("PUT", there), {"host": ENDPOINT.netloc, "content-length": "3"}, b"new")
    assert put.status == 200
    assert raw("GET", presigned("GET", there), {"host": ENDPOINT.netloc}).body == b"new"
    assert raw("DELETE", presigned("DELETE", there), {"host": ENDPOINT.netloc}).status == 204


def test_presigned_for_another_method_or_key(there):
    url = presigned("GET", there)
    flipped = url[:-1] + ("0" if url[-1] != "0" else "1")
    for method, target in (("PUT", url), ("GET", url.replace("/k?", "/other?")), ("GET", flipped)):
        answer = raw(method, target, {"host": ENDPOINT.netloc, "content-length": "0"})
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), (method, answer)


@pytest.mark.parametrize("seconds", ["0", "-1", "604801", "x"])
def test_presigned_for_no_time_or_too_long(there, seconds):
    answer = raw("GET", presigned("GET", there, seconds), {"host": ENDPOINT.netloc})
    assert answer.status in (400, 403) and answer.code in ("AuthorizationQueryParametersError", "AccessDenied"), answer


def test_presigned_and_expired(there):
    answer = raw("GET", presigned("GET", there, 60, shift=-120), {"host": ENDPOINT.netloc})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    answer = raw("GET", presigned("GET", there, 60, who=STRANGER, shift=-120), {"host": ENDPOINT.netloc})
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_presigned_with_response_overrides(there):
    url = presigned("GET", f"{there}?response-content-type=text%2Fodd")
    assert raw("GET", url, {"host": ENDPOINT.netloc}).headers["content-type"] == "text/odd"


def test_a_parameter_added_later_breaks_the_signature(there):
    answer = raw("GET", presigned("GET", there) + "&versionId=null", {"host": ENDPOINT.netloc})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_both_kinds_of_signature_at_once(there):
    target = presigned("GET", there)
    given = {"host": ENDPOINT.netloc}
    sign("GET", target, given, hashlib.sha256(b"").hexdigest())
    answer = raw("GET", target, given)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


@pytest.mark.parametrize("operation", ["get_object", "head_object", "put_object", "delete_object"])
@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_by_boto3(bucket, there, operation, version):
    import requests

    url = connected(OWNER, signature_version=version).generate_presigned_url(
        operation, Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60
    )
    method = operation.split("_")[0].upper()
    answer = requests.request(method, url, timeout=10)
    assert answer.status_code in (200, 204), answer.text


def v2(method, resource, date, md5="", kind="", amz=""):
    text = f"{method}\n{md5}\n{kind}\n{date}\n{amz}{resource}"
    return base64.b64encode(hmac.new(OWNER[1].encode(), text.encode(), hashlib.sha1).digest()).decode()


def test_sigv2_header(there):
    date = formatdate(usegmt=True)
    given = {"host": ENDPOINT.netloc, "date": date, "authorization": f"AWS {OWNER[0]}:{v2('GET', there, date)}"}
    assert raw("GET", there, given).body == b"there"
    given["authorization"] = f"AWS {OWNER[0]}:{v2('PUT', there, date)}"
    answer = raw("GET", there, given)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_sigv2_sub_resources_and_amz_headers(bucket):
    date = formatdate(usegmt=True)
    signature = v2("GET", f"/{bucket}/?versioning", date, amz="x-amz-thing:a\n")
    given = {"host": ENDPOINT.netloc, "date": date, "x-amz-thing": "a"}
    given["authorization"] = f"AWS {OWNER[0]}:{signature}"
    assert raw("GET", f"/{bucket}/?versioning", given).status == 200


@pytest.mark.parametrize(
    ("shift", "code"), [(-7200, "RequestTimeTooSkewed"), (7200, "RequestTimeTooSkewed"), (None, "AccessDenied")]
)
def test_sigv2_dates(there, shift, code):
    date = "whenever" if shift is None else formatdate(time.time() + shift, usegmt=True)
    given = {"host": ENDPOINT.netloc, "date": date, "authorization": f"AWS {OWNER[0]}:{v2('GET', there, date)}"}
    answer = raw("GET", there, given)
    assert (answer.status, answer.code) == (403, code), answer


def test_sigv2_presigned_and_expired(there):
    from urllib.parse import quote

    for at, status in ((int(time.time()) + 60, 200), (int(time.time()) - 60, 403)):
        signature = quote(v2("GET", there, at), safe="")
        url = f"{there}?AWSAccessKeyId={OWNER[0]}&Expires={at}&Signature={signature}"
        assert raw("GET", url, {"host": ENDPOINT.netloc}).status == status


def test_a_second_identity_is_somebody_else(there, bucket, other):
    for call in (other.get_object, other.delete_object, other.put_object):
        with pytest.raises(ClientError) as caught:
            call(Bucket=bucket, Key="k")
        assert caught.value.response["Error"]["Code"] == "AccessDenied", call
    with pytest.raises(ClientError) as caught:
        other.list_objects_v2(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_a_refused_upload_is_not_asked_for(bucket):
    """`100 Continue` only when the body will be read."""
    head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: {ENDPOINT.netloc}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    answer = bare(head.encode())
    assert answer.startswith(b"HTTP/1.1 403"), answer[:200]


def test_continue_is_answered(there):
    given = {"host": ENDPOINT.netloc, "content-length": "5", "expect": "100-continue"}
    sign("PUT", there, given, "UNSIGNED-PAYLOAD")
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    assert bare(f"PUT {there} HTTP/1.1\r\n{head}\r\nhello".encode()).startswith(b"HTTP/1.1 100")
