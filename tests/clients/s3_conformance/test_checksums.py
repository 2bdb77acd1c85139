"""Checksums in headers and trailers, aws-chunked bodies, and what becomes of them in multipart uploads."""

import base64
import os

import pytest
from conftest import headers, read, refused
from test_multipart import PART, Upload
from wire import CHECKSUMS, crc32, crc64nvme, put_chunked, send, sha256

NAMES = sorted(CHECKSUMS)
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


def header(name):
    return f"x-amz-checksum-{name.lower()}"


def test_the_reference_value():
    assert crc32(b"hello") == "NhCmhg==" and crc64nvme(b"123456789") == "rosUhgp5mIg="


@pytest.mark.parametrize("name", NAMES)
class TestEach:
    def test_right(self, s3, bucket, name):
        value = CHECKSUMS[name](b"hello")
        answer = send("PUT", f"/{bucket}/k", b"hello", {header(name): value})
        assert answer.status == 200 and answer.headers[header(name)] == value, answer
        assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        asked = send("GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).headers
        assert (asked[header(name)], asked["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
        asked = send("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).headers
        assert asked[header(name)] == value
        for method in ("GET", "HEAD"):
            assert not [n for n in send(method, f"/{bucket}/k").headers if "checksum" in n]

    def test_wrong(self, s3, bucket, name):
        answer = send("PUT", f"/{bucket}/k", b"hello", {header(name): CHECKSUMS[name](b"other")})
        assert (answer.status, answer.code) == (400, "BadDigest"), answer
        refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")

    @pytest.mark.parametrize("bad", ["bad", "not base64!", "AAAA"])
    def test_undecodable(self, bucket, name, bad):
        answer = send("PUT", f"/{bucket}/k", b"hello", {header(name): bad})
        assert answer.status == 400 and answer.code in ("InvalidRequest", "BadDigest"), answer

    def test_in_an_unsigned_trailer(self, s3, bucket, name):
        trailer = [(header(name), CHECKSUMS[name](b"hello world"))]
        answer = put_chunked(bucket, "k", [b"hello ", b"world"], UNSIGNED, trailer)
        assert answer.status == 200, answer
        assert read(s3, bucket, "k") == b"hello world"
        wrong = [(header(name), CHECKSUMS[name](b"other"))]
        answer = put_chunked(bucket, "bad", [b"hello ", b"world"], UNSIGNED, wrong)
        assert (answer.status, answer.code) == (400, "BadDigest"), answer

    def test_in_a_signed_trailer(self, s3, bucket, name):
        trailer = [(header(name), CHECKSUMS[name](b"hello world"))]
        answer = put_chunked(bucket, "k", [b"hello ", b"world"], SIGNED_TRAILER, trailer)
        assert answer.status == 200, answer
        assert read(s3, bucket, "k") == b"hello world"

    def test_in_the_attributes(self, s3, bucket, name):
        value = CHECKSUMS[name](b"hello")
        send("PUT", f"/{bucket}/k", b"hello", {header(name): value})
        got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])["Checksum"]
        assert (got[f"Checksum{name}"], got["ChecksumType"]) == (value, "FULL_OBJECT")

    def test_copied(self, s3, bucket, name):
        value = CHECKSUMS[name](b"hello")
        send("PUT", f"/{bucket}/from", b"hello", {header(name): value})
        answer = s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
        assert answer["CopyObjectResult"][f"Checksum{name}"] == value

    def test_asked_of_a_copy(self, s3, bucket, name):
        s3.put_object(Bucket=bucket, Key="from", Body=b"hello")
        source = {"x-amz-copy-source": f"/{bucket}/from", "x-amz-checksum-algorithm": name}
        answer = send("PUT", f"/{bucket}/to", headers=source)
        assert answer.inside(f"Checksum{name}") == CHECKSUMS[name](b"hello"), answer


@pytest.mark.parametrize("name", ["CRC32", "SHA1", "SHA256"])
def test_computed_by_the_client(s3, bucket, name):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=name)
    assert put[f"Checksum{name}"] == CHECKSUMS[name](b"hello")


def test_none_given_is_crc64nvme(plain, bucket):
    plain.put_object(Bucket=bucket, Key="k", Body=b"hello")
    asked = send("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert asked["x-amz-checksum-crc64nvme"] == crc64nvme(b"hello")


def test_two_different_ones(bucket):
    given = {header("CRC32"): crc32(b"x"), header("SHA256"): sha256(b"x")}
    answer = send("PUT", f"/{bucket}/k", b"x", given)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_no_checksum_of_a_range(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = send("GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED", "range": "bytes=0-3"})
    assert answer.status == 206 and not [n for n in answer.headers if n.startswith("x-amz-checksum-crc")]


def test_signed_chunks(s3, bucket):
    pieces = [os.urandom(65_536), os.urandom(65_536), b"rest"]
    assert put_chunked(bucket, "k", pieces, SIGNED).status == 200
    assert read(s3, bucket, "k") == b"".join(pieces)
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_signed_chunks_with_a_wrong_signature(s3, bucket):
    def framed(seed):
        return b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"

    answer = put_chunked(bucket, "k", [b"hello"], SIGNED, framed=framed)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), answer
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


def test_a_real_encoding_stays(s3, bucket):
    trailer = [(header("CRC32"), crc32(b"x"))]
    answer = put_chunked(bucket, "k", [b"x"], UNSIGNED, trailer, {"content-encoding": "gzip, aws-chunked"})
    assert answer.status == 200
    assert send("HEAD", f"/{bucket}/k").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("end", [b"\r\n", b"\r\n\r\n"])
def test_line_ends_too_many(s3, bucket, end):
    trailer = [(header("CRC32"), crc32(b"hello"))]
    assert put_chunked(bucket, "k", [b"hello"], UNSIGNED, trailer, end=end).status == 200
    assert read(s3, bucket, "k") == b"hello"


def test_announced_trailer_that_does_not_come(s3, bucket):
    given = {"x-amz-trailer": header("CRC32")}
    answer = put_chunked(bucket, "k", [b"hello"], UNSIGNED, headers=given)
    assert (answer.status, answer.code) == (400, "MalformedTrailerError"), answer
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


@pytest.mark.parametrize("length", [4, 6])
def test_decoded_length_that_is_wrong(s3, bucket, length):
    trailer = [(header("CRC32"), crc32(b"hello"))]
    answer = put_chunked(bucket, "k", [b"hello"], UNSIGNED, trailer, length=length)
    assert (answer.status, answer.code) == (400, "IncompleteBody"), answer
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


MALFORMED = [
    b"zz\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhel",
    b"5\r\nhelloXX0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"5" + b" " * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_framing(s3, bucket, body):
    answer = put_chunked(bucket, "k", [b"hello"], UNSIGNED, framed=lambda seed: body)
    assert 400 <= answer.status < 500, answer
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")


BODIES = [os.urandom(PART), os.urandom(PART), b"third"]


def parts(upload, name, bodies):
    done = []
    for number, body in enumerate(bodies, 1):
        got = upload.put(number, body, ChecksumAlgorithm=name)
        done.append({"ETag": got["ETag"], "PartNumber": number, f"Checksum{name}": got[f"Checksum{name}"]})
    return done


@pytest.mark.parametrize("name", ["CRC32", "SHA1", "SHA256"])
def test_composite(s3, bucket, name):
    upload = Upload(s3, bucket, ChecksumAlgorithm=name)
    assert (upload.answer["ChecksumAlgorithm"], upload.answer["ChecksumType"]) == (name, "COMPOSITE")
    done = parts(upload, name, BODIES)
    inner = b"".join(base64.b64decode(part[f"Checksum{name}"]) for part in done)
    whole = f"{CHECKSUMS[name](inner)}-3"
    upload.refused("BadDigest", 400, done, **{f"Checksum{name}": f"{CHECKSUMS[name](b'wrong')}-3"})
    answer = upload.complete(done, **{f"Checksum{name}": whole})
    assert (answer[f"Checksum{name}"], answer["ChecksumType"]) == (whole, "COMPOSITE")
    asked = send("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert (asked[header(name)], asked["x-amz-checksum-type"]) == (whole, "COMPOSITE")


def test_full_object_crc32(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    done = parts(upload, "CRC32", BODIES)
    whole = crc32(b"".join(BODIES))
    wrong = {"ChecksumCRC32": crc32(b"wrong"), "ChecksumType": "FULL_OBJECT"}
    upload.refused("BadDigest", 400, done, **wrong)
    answer = upload.complete(done, ChecksumCRC32=whole, ChecksumType="FULL_OBJECT")
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (whole, "FULL_OBJECT")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])["Checksum"]
    assert (got["ChecksumCRC32"], got["ChecksumType"]) == (whole, "FULL_OBJECT")


def test_full_object_crc64nvme_of_small_parts(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    assert upload.answer["ChecksumType"] == "FULL_OBJECT"
    target = f"/{bucket}/k?partNumber=1&uploadId={upload.id}"
    answer = send("PUT", target, b"hello", {header("CRC64NVME"): crc64nvme(b"hello")})
    assert answer.status == 200 and answer.headers[header("CRC64NVME")] == crc64nvme(b"hello")
    done = upload.complete([{"ETag": answer.headers["etag"], "PartNumber": 1}])
    assert done["ChecksumCRC64NVME"] == crc64nvme(b"hello")


@pytest.mark.parametrize(
    ("name", "kind"), [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")]
)
def test_types_that_do_not_go_together(s3, bucket, name, kind):
    call = {"Bucket": bucket, "Key": "k", "ChecksumAlgorithm": name, "ChecksumType": kind}
    refused("InvalidRequest", 400, s3.create_multipart_upload, **call)


def test_part_with_another_algorithm(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    call = {**upload.where, "PartNumber": 1, "Body": b"x", "ChecksumAlgorithm": "CRC32"}
    refused("InvalidRequest", 400, s3.upload_part, **call)


def test_part_with_a_wrong_checksum(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32")
    target = f"/{bucket}/k?partNumber=1&uploadId={upload.id}"
    answer = send("PUT", target, b"hello", {header("CRC32"): crc32(b"other")})
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert "Parts" not in s3.list_parts(**upload.where)


def test_complete_without_checksums_of_parts(s3, bucket):
    """As boto3's transfer manager does it."""
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32")
    for number, body in enumerate(BODIES, 1):
        upload.put(number, body, ChecksumAlgorithm="CRC32")
    assert upload.complete()["ETag"].endswith('-3"')


def test_part_listing_has_checksums(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    upload.put(1, b"x", ChecksumAlgorithm="SHA256")
    listed = s3.list_parts(**upload.where)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ("SHA256", "COMPOSITE")
    assert listed["Parts"][0]["ChecksumSHA256"] == sha256(b"x")


def test_transfer_manager_both_ways(s3, bucket, tmp_path):
    body = os.urandom(20_000_000)
    (tmp_path / "up").write_bytes(body)
    s3.upload_file(str(tmp_path / "up"), bucket, "big")
    s3.download_file(bucket, "big", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == body
    assert headers(s3.head_object(Bucket=bucket, Key="big"))["etag"].endswith('-3"')
