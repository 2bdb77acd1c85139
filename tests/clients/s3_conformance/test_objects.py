"""Objects: put, get, head, delete, copy, attributes."""

import datetime
import hashlib
import os
import threading

import pytest
from conftest import headers, read, refused, status
from wire import bare, crc32, md5, raw, send, sign, ENDPOINT


def test_put_answers_the_md5(s3, bucket):
    body = os.urandom(70_000)
    answer = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"' and "VersionId" not in answer
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"")["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert read(s3, bucket, "k") == b""


@pytest.mark.parametrize("size", [0, 1, 4096, 16_384, 16_385, 524_288, 3_000_001])
def test_bytes_come_back(s3, bucket, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["ContentLength"] == size and answer["Body"].read() == body


def test_missing(s3, bucket):
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="absent")
    refused("404", 404, s3.head_object, Bucket=bucket, Key="absent")
    refused("NoSuchBucket", 404, s3.get_object, Bucket="nobody-made-this-one", Key="k")
    refused("NoSuchBucket", 404, s3.put_object, Bucket="nobody-made-this-one", Key="k", Body=b"x")
    refused("NoSuchBucket", 404, s3.delete_object, Bucket="nobody-made-this-one", Key="k")


def test_after_a_put_to_a_missing_bucket_the_next_one_works(s3, bucket):
    refused("NoSuchBucket", 404, s3.put_object, Bucket="nobody-made-this-one", Key="k", Body=b"x" * 100_000)
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert read(s3, bucket, "k") == b"y"


@pytest.mark.parametrize("value", ["", "not base64", "YWJj"])
def test_malformed_content_md5(bucket, value):
    answer = send("PUT", f"/{bucket}/k", b"x", {"content-md5": value})
    assert (answer.status, answer.code) == (400, "InvalidDigest")


def test_wrong_content_md5(s3, bucket):
    answer = send("PUT", f"/{bucket}/k", b"something", {"content-md5": md5(b"something else")})
    assert (answer.status, answer.code) == (400, "BadDigest")
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    assert send("PUT", f"/{bucket}/k", b"something", {"content-md5": md5(b"something")}).status == 200


def test_wrong_payload_digest(s3, bucket):
    answer = send("PUT", f"/{bucket}/k", b"something", payload=hashlib.sha256(b"else").hexdigest())
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


def test_length_is_needed(bucket):
    target, head = f"/{bucket}/k", {"host": ENDPOINT.netloc}
    sign("PUT", target, head, "UNSIGNED-PAYLOAD")
    answer = raw("PUT", target, head)
    assert (answer.status, answer.code) == (411, "MissingContentLength"), answer


def test_plain_chunked_transfer(s3, bucket):
    target, head = f"/{bucket}/k", {"host": ENDPOINT.netloc}
    sign("PUT", target, head, "UNSIGNED-PAYLOAD")
    answer = raw("PUT", target, {**head, "Transfer-Encoding": "chunked"}, b"5\r\nhello\r\n0\r\n\r\n")
    assert answer.status == 200, answer
    assert read(s3, bucket, "k") == b"hello"


@pytest.mark.parametrize("length", ["-1", "abc", "1 2"])
def test_bad_length(bucket, length):
    head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: {ENDPOINT.netloc}\r\nContent-Length: {length}\r\n\r\n"
    assert bare(head.encode()).split(b" ")[1] == b"400"


def test_default_content_type(plain, bucket):
    plain.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert send("GET", f"/{bucket}/k").headers["content-type"] == "binary/octet-stream"


def test_system_metadata_is_echoed(s3, bucket):
    given = {
        "ContentType": "text/x-odd; charset=latin-9",
        "CacheControl": "public, max-age=14400",
        "ContentDisposition": 'attachment; filename="ü.txt"'.encode().decode("latin-1"),
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-CH",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    given.pop("ContentDisposition")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentDisposition="attachment; filename=a", **given)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer.get(name) for name in given} == given
        assert answer["AcceptRanges"] == "bytes"


@pytest.mark.parametrize("expires", ["Tue, 07 Jun 2033 09:00:00 GMT", "1", "whenever"])
def test_expires_is_any_text(bucket, expires):
    assert send("PUT", f"/{bucket}/k", b"x", {"expires": expires}).status == 200
    assert send("GET", f"/{bucket}/k").headers["expires"] == expires


def test_storage_class(s3, bucket):
    s3.put_object(Bucket=bucket, Key="standard", Body=b"x", StorageClass="STANDARD")
    assert "x-amz-storage-class" not in send("HEAD", f"/{bucket}/standard").headers
    s3.put_object(Bucket=bucket, Key="ia", Body=b"x", StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=bucket, Key="ia")["StorageClass"] == "STANDARD_IA"
    listed = {o["Key"]: o["StorageClass"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed == {"standard": "STANDARD", "ia": "STANDARD_IA"}
    answer = send("PUT", f"/{bucket}/bad", b"x", {"x-amz-storage-class": "CHEAP"})
    assert (answer.status, answer.code) == (400, "InvalidStorageClass")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("gzip, aws-chunked", "gzip"), ("aws-chunked, aws-chunked", None), ("aws-chunked", None), ("gzip", "gzip")],
)
def test_aws_chunked_is_not_kept(bucket, given, kept):
    assert send("PUT", f"/{bucket}/k", b"x", {"content-encoding": given}).status == 200
    assert send("HEAD", f"/{bucket}/k").headers.get("content-encoding") == kept


def test_user_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"Mixed-Case": "Value", "empty": ""})
    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == {"mixed-case": "Value", "empty": ""}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"new": "1"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "1"}


def test_user_metadata_in_utf_8(bucket):
    value = "Grüße, 世界".encode().decode("latin-1")
    assert send("PUT", f"/{bucket}/k", b"x", {"x-amz-meta-greeting": value}, payload="UNSIGNED-PAYLOAD").status == 200
    assert send("GET", f"/{bucket}/k").headers["x-amz-meta-greeting"] == value


def test_user_metadata_has_a_limit(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "v" * 2000})
    refused("MetadataTooLarge", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "v" * 2100})


def test_dates_agree(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    assert head == listed.replace(microsecond=0)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - head).total_seconds()) < 60
    assert send("GET", f"/{bucket}?list-type=2").inside("LastModified").endswith("Z")


RANGES = [
    ("bytes=0-0", 0, 0),
    ("bytes=4-7", 4, 7),
    ("bytes=10-", 10, 19),
    ("bytes=-3", 17, 19),
    ("bytes=-500", 0, 19),
    ("bytes=5-500", 5, 19),
]


@pytest.mark.parametrize(("asked", "first", "last"), RANGES)
def test_range(s3, bucket, asked, first, last):
    body = bytes(range(20))
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    answer = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert status(answer) == 206 and answer["ContentRange"] == f"bytes {first}-{last}/20"
    assert answer["Body"].read() == body[first : last + 1]
    head = send("HEAD", f"/{bucket}/k", headers={"range": asked})
    assert (head.status, head.headers["content-length"]) == (206, str(last - first + 1))


@pytest.mark.parametrize("asked", ["bytes=20-", "bytes=20-30", "bytes=-0"])
def test_range_beyond_the_end(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(20))
    answer = send("GET", f"/{bucket}/k", headers={"range": asked})
    assert (answer.status, answer.code) == (416, "InvalidRange")
    if asked != "bytes=-0":
        assert answer.inside("ActualObjectSize") == "20" and answer.inside("RangeRequested") == asked


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_range_of_nothing(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="empty", Range=asked)


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=b-a", "lines=1-2", "bytes=7-4", "bytes", "bytes=--1"])
def test_range_that_cannot_be_read_is_ignored(s3, bucket, asked):
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(20))
    answer = send("GET", f"/{bucket}/k", headers={"range": asked})
    assert (answer.status, len(answer.body)) == (200, 20), answer


def test_if_range(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=bytes(20))["ETag"]
    ask = {"range": "bytes=0-3"}
    assert send("GET", f"/{bucket}/k", headers={**ask, "if-range": etag}).status == 206
    assert send("GET", f"/{bucket}/k", headers={**ask, "if-range": '"another"'}).status == 200


def test_large_range_of_a_large_object(s3, bucket):
    body = os.urandom(2_500_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert read(s3, bucket, "k", Range="bytes=400000-2100000") == body[400_000:2_100_001]


OVERRIDES = {
    "response-content-type": ("content-type", "text/x-other"),
    "response-content-language": ("content-language", "fr"),
    "response-expires": ("expires", "Tue, 01 Jan 2030 00:00:00 GMT"),
    "response-cache-control": ("cache-control", "no-store"),
    "response-content-disposition": ("content-disposition", "inline"),
    "response-content-encoding": ("content-encoding", "br"),
}


@pytest.mark.parametrize("parameter", OVERRIDES)
def test_response_override(s3, bucket, parameter):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    header, value = OVERRIDES[parameter]
    answer = send("GET", f"/{bucket}/k?{parameter}={value.replace(' ', '%20').replace('/', '%2F').replace(',', '%2C')}")
    assert (answer.status, answer.headers[header]) == (200, value), answer


def test_delete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert status(s3.delete_object(Bucket=bucket, Key="k")) == 204
    assert status(s3.delete_object(Bucket=bucket, Key="k")) == 204
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


def test_delete_many(s3, bucket):
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    wanted = [{"Key": key} for key in [*keys, "never there"]]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(d["Key"] for d in gone["Deleted"]) == sorted([*keys, "never there"]) and "Errors" not in gone
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_delete_many_quietly(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert "Deleted" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})


def test_delete_of_too_many(s3, bucket):
    wanted = [{"Key": str(number)} for number in range(1001)]
    refused("MalformedXML", 400, s3.delete_objects, Bucket=bucket, Delete={"Objects": wanted})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted[:1000]})


def test_delete_many_compares_its_digest(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    for wrong in ({"content-md5": md5(b"other")}, {"x-amz-checksum-crc32": crc32(b"other")}):
        answer = send("POST", f"/{bucket}?delete", body, wrong)
        assert (answer.status, answer.code) == (400, "BadDigest")
    assert send("POST", f"/{bucket}?delete", body, {"content-md5": md5(body)}).status == 200


@pytest.mark.parametrize("body", [b"", b"<Delete>", b"<Delete></Delete>", b"not xml", b"<Other/>"])
def test_delete_many_malformed(bucket, body):
    answer = send("POST", f"/{bucket}?delete", body, {"content-md5": md5(body)})
    assert answer.status == 400 and answer.code in ("MalformedXML", "MissingRequestBodyError"), answer


def test_delete_many_with_control_characters(s3, bucket):
    assert send("PUT", f"/{bucket}/odd%01%0Bkey", b"x").status == 200
    body = b"<Delete><Object><Key>odd&#x1;&#xB;key</Key></Object></Delete>"
    answer = send("POST", f"/{bucket}?delete", body, {"content-md5": md5(body)})
    assert answer.status == 200 and "odd&#x1;&#xb;key" in answer.text, answer
    assert send("HEAD", f"/{bucket}/odd%01%0Bkey").status == 404


def test_copy(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x" * 50_000, ContentType="text/x", Metadata={"a": "1"})
    answer = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
    assert answer["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"x" * 50_000).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["ContentType"], got["Metadata"]) == ("text/x", {"a": "1"})
    assert got["Body"].read() == b"x" * 50_000


def test_copy_replacing_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x", ContentType="text/x", Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": "from"}
    more = {"MetadataDirective": "REPLACE", "Metadata": {"b": "2"}, "ContentType": "text/y"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **more)
    got = s3.head_object(Bucket=bucket, Key="to")
    assert (got["ContentType"], got["Metadata"]) == ("text/y", {"b": "2"})
    # Without a directive, what the request says is not heard.
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source, Metadata={"b": "2"})
    assert s3.head_object(Bucket=bucket, Key="same")["Metadata"] == {"a": "1"}


@pytest.mark.parametrize("header", ["x-amz-metadata-directive", "x-amz-tagging-directive"])
def test_copy_with_an_unknown_directive(s3, bucket, header):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    answer = send("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": f"/{bucket}/from", header: "GUESS"})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_copy_onto_itself(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    same = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "k"}}
    refused("InvalidRequest", 400, s3.copy_object, **same)
    s3.copy_object(**same, MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "1"}
    s3.copy_object(**same, StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    s3.copy_object(**same, ServerSideEncryption="AES256")


ODD_SOURCES = ["plus+sign", "per%cent", "question?mark", "has?versionId=in-it", "ünï/cödé", "a//b", "sp ace", "amp&x=y"]


@pytest.mark.parametrize("key", ODD_SOURCES)
def test_copy_of_an_odd_key(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": key})
    assert read(s3, bucket, "to") == key.encode()


def test_copy_source_is_decoded_once_and_needs_no_slash(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a+b", Body=b"plus")
    for source in (f"/{bucket}/a+b", f"{bucket}/a+b", f"{bucket}/a%2Bb"):
        assert send("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": source}).status == 200, source


def test_copy_of_what_is_not_there(s3, bucket):
    for key, where, code in (("absent", bucket, "NoSuchKey"), ("k", "nobody-made-this-one", "NoSuchBucket")):
        refused(code, 404, s3.copy_object, Bucket=bucket, Key="to", CopySource={"Bucket": where, "Key": key})
    answer = send("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": "no-slash"})
    assert answer.status == 400, answer


def test_copy_from_somebody_elses_is_forbidden(s3, other, bucket, name):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"x")
    other.create_bucket(Bucket=f"{name}-o")
    source = {"Bucket": bucket, "Key": "secret"}
    refused("AccessDenied", 403, other.copy_object, Bucket=f"{name}-o", Key="k", CopySource=source)


def test_attributes(s3, bucket):
    body = b"hello"
    etag = s3.put_object(Bucket=bucket, Key="k", Body=body)["ETag"]
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert got["ETag"] == etag.strip('"') and got["ObjectSize"] == 5 and got["StorageClass"] == "STANDARD"
    assert got["Checksum"]["ChecksumCRC32"] == crc32(body) and got["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert "ObjectParts" not in got
    few = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert few["ObjectSize"] == 5 and "ETag" not in few


def test_attributes_need_a_list(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = send("GET", f"/{bucket}/k?attributes")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
    answer = send("GET", f"/{bucket}/k?attributes", headers={"x-amz-object-attributes": "ETag,Nonsense"})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_part_number_of_a_simple_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"whole")
    assert read(s3, bucket, "k", PartNumber=1) == b"whole"
    answer = send("GET", f"/{bucket}/k?partNumber=2")
    assert (answer.status, answer.code) in [(416, "InvalidPartNumber"), (400, "InvalidPart")], answer
    answer = send("GET", f"/{bucket}/k?partNumber=1", headers={"range": "bytes=0-1"})
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


def test_a_reader_never_sees_a_mixture(s3, bucket):
    bodies = [letter * 600_000 for letter in (b"a", b"b")]
    s3.put_object(Bucket=bucket, Key="k", Body=bodies[0])
    done, seen = threading.Event(), []

    def look():
        while not done.is_set():
            seen.append(read(s3, bucket, "k"))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(20):
        s3.put_object(Bucket=bucket, Key="k", Body=bodies[number % 2])
    done.set()
    reader.join()
    assert seen and set(seen) <= set(bodies)


def test_a_body_that_is_too_short_leaves_the_old_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    target, head = f"/{bucket}/k", {"host": ENDPOINT.netloc, "content-length": "1000"}
    sign("PUT", target, head, "UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    import socket

    with socket.create_connection((ENDPOINT.hostname, ENDPOINT.port), 30) as stream:
        stream.sendall(f"PUT {target} HTTP/1.1\r\n{lines}\r\nonly this".encode())
        stream.shutdown(socket.SHUT_WR)
        stream.recv(65536)
    assert read(s3, bucket, "k") == b"old"


def test_every_answer_has_its_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for answer in (send("GET", f"/{bucket}/k"), send("GET", f"/{bucket}/absent"), send("HEAD", f"/{bucket}")):
        for header in ("x-amz-request-id", "x-amz-id-2", "date", "server"):
            assert answer.headers.get(header), (header, answer)


def test_tagging_count(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=2")
    assert headers(s3.get_object(Bucket=bucket, Key="k"))["x-amz-tagging-count"] == "2"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert "x-amz-tagging-count" not in headers(s3.get_object(Bucket=bucket, Key="k"))
