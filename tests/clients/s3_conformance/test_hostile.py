"""Keys, bodies and clients that mean no good: the right error, and everything else goes on."""

import os
import socket
import threading
from urllib.parse import quote

import pytest
from conftest import read
from wire import ENDPOINT, bare, raw, send, sign

KEYS = [
    "../../../escape",
    "..",
    ".",
    "./x",
    "a/../b",
    "a/./b",
    "/absolute",
    "//double",
    "trailing/",
    "a//b",
    "dir",
    "dir/x",
    "CASE",
    "case",
    "new\nline",
    "tab\tkey",
    "nul\0key",
    "bell\x07",
    "a" * 1024,
    "ü" * 512,
    "\U0001f600" * 256,
    "x" * 300 + "/" + "y" * 300,
    "back\\slash",
    "per%2Fcent",
    "plus+plus",
    "question?mark&amp=1",
    "hash#mark",
    'quote"<>&\'',
    " leading and trailing ",
    "\u200b",
    ".windtunnel/windtunnel.db",
    "con",
]


@pytest.mark.parametrize("key", KEYS)
def test_key(s3, bucket, key):
    target = f"/{bucket}/{quote(key, safe='/~')}"
    put = send("PUT", target, key.encode())
    assert put.status == 200, put
    assert send("GET", target).body == key.encode()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    copied = send("PUT", f"/{bucket}/copy", headers={"x-amz-copy-source": quote(f"/{bucket}/{key}", safe="/~")})
    assert copied.status == 200, copied
    assert send("DELETE", target).status == 204
    assert send("HEAD", target).status == 404


def test_all_keys_together(s3, bucket):
    for key in KEYS:
        send("PUT", f"/{bucket}/{quote(key, safe='/~')}", key.encode())
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(KEYS, key=str.encode)
    assert not os.path.exists("escape") and not os.path.exists("/absolute")


@pytest.mark.parametrize("key", ["a" * 1025, "ü" * 513])
def test_key_too_long(bucket, key):
    answer = send("PUT", f"/{bucket}/{quote(key)}", b"x")
    assert (answer.status, answer.code) == (400, "KeyTooLongError"), answer


@pytest.mark.parametrize("path", ["%ff", "%c3%28", "a%80b", "%ed%a0%80"])
def test_path_that_is_no_text(bucket, path):
    answer = send("PUT", f"/{bucket}/{path}", b"x")
    assert (answer.status, answer.code) == (400, "InvalidURI"), answer


def test_half_an_escape(bucket):
    assert send("GET", f"/{bucket}/a%2").status in (400, 403, 404)
    assert send("GET", f"/{bucket}/a%zz").status in (400, 403, 404)


BOMB = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;">]>'
BODIES = [
    b"",
    b"<",
    b"<a",
    b"not xml at all",
    b"\xff\xfe\x00",
    b"<a>" * 50_000,
    BOMB + b"<Delete><Object><Key>&y;</Key></Object></Delete>",
    b"<VersioningConfiguration><Status>Enabled</Status><Status>Suspended</Status></VersioningConfiguration>",
    b"<Wrong><Status>Enabled</Status></Wrong>",
    b"\0" * 1000,
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("sub", ["versioning", "tagging", "delete", "lifecycle", "cors", "object-lock", "acl"])
def test_malformed_xml(bucket, sub, body):
    method = "POST" if sub == "delete" else "PUT"
    answer = send(method, f"/{bucket}?{sub}", body)
    assert 400 <= answer.status < 500 and answer.code, answer


def test_xml_without_end_is_not_read_to_the_end(bucket):
    answer = send("POST", f"/{bucket}?delete", b"<Delete>" + b"<Object><Key>k</Key></Object>" * 400_000)
    assert 400 <= answer.status < 500, answer


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: y\r\n" * 5_000 + b"\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ],
)
def test_what_is_no_http(line):
    try:
        answer = bare(line, timeout=5)
    except (ConnectionResetError, BrokenPipeError, TimeoutError):
        answer = b""
    assert not answer or b" 4" in answer[:20] or b" 5" in answer[:20] or answer[:1] == b"\x15", answer[:100]
    assert send("GET", "/").status == 200, "everybody else is still served"


@pytest.mark.parametrize(
    "query", ["partNumber=-1", "partNumber=99999999999999999999", "max-keys=99999999999999999999", "versionId=" + "a" * 2000]
)
def test_numbers_out_of_bounds(s3, bucket, query):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    target = f"/{bucket}?{query}" if query.startswith("max") else f"/{bucket}/k?{query}"
    answer = send("GET", target)
    assert 400 <= answer.status < 500, answer


@pytest.mark.parametrize("asked", ["bytes=-99999999999999999999", "bytes=99999999999999999999-", "bytes=0-99999999999999999999"])
def test_ranges_out_of_bounds(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    answer = send("GET", f"/{bucket}/k", headers={"range": asked})
    assert answer.status in (200, 206, 416), answer


@pytest.mark.parametrize("name", ["content-type", "x-amz-meta-a", "x-amz-storage-class", "x-amz-tagging", "range"])
def test_header_that_is_no_text(bucket, name):
    answer = send("PUT", f"/{bucket}/k", b"x", {name: "\xff\xfe\x80"}, payload="UNSIGNED-PAYLOAD")
    assert answer.status < 500, answer


@pytest.mark.parametrize(
    "source", ["", "/", "//", "bucket", "/%ff/%ff", "?versionId=", "/b/k?versionId=", "a" * 3000, "/b/k?versionId=%00"]
)
def test_copy_source_that_cannot_be_read(bucket, source):
    answer = send("PUT", f"/{bucket}/k", headers={"x-amz-copy-source": source})
    assert 400 <= answer.status < 500, answer


def test_a_slow_client_and_one_that_hangs_up(s3, bucket):
    """Uploads that stop in the middle hold nobody up, and leave nothing."""
    target, streams = f"/{bucket}/slow", []
    for _ in range(20):
        given = {"host": ENDPOINT.netloc, "content-length": "1000000"}
        sign("PUT", target, given, "UNSIGNED-PAYLOAD")
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        stream = socket.create_connection((ENDPOINT.hostname, ENDPOINT.port), 30)
        stream.sendall(f"PUT {target} HTTP/1.1\r\n{head}\r\n".encode() + b"x" * 600_000)
        streams.append(stream)
    s3.put_object(Bucket=bucket, Key="quick", Body=b"quick")
    assert read(s3, bucket, "quick") == b"quick"
    for stream in streams:
        stream.close()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["quick"]


def test_a_reader_that_hangs_up(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(8_000_000))
    for _ in range(10):
        body = s3.get_object(Bucket=bucket, Key="k")["Body"]
        body.read(1000)
        body.close()
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 8_000_000


def test_many_connections_that_say_nothing(s3, bucket):
    streams = [socket.create_connection((ENDPOINT.hostname, ENDPOINT.port), 30) for _ in range(200)]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for stream in streams:
        stream.close()


def test_a_key_and_its_folder_written_together(s3, bucket):
    def write(key):
        for _ in range(10):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    threads = [threading.Thread(target=write, args=(key,)) for key in ("a", "a/b", "a/b/c", "a/")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in ("a", "a/b", "a/b/c", "a/"):
        assert read(s3, bucket, key) == key.encode()


def test_unknown_methods(bucket):
    for method in ("PATCH", "TRACE", "BREW"):
        answer = raw(method, f"/{bucket}/k", {"host": ENDPOINT.netloc})
        assert 400 <= answer.status < 600 and answer.status != 500, answer
