"""Multipart uploads."""

import hashlib
import os
import re

import pytest
from conftest import headers, read, refused, status
from wire import OTHER, OWNER, send

PART = 5 * 1024 * 1024


class Upload:
    """One upload and the parts it has so far."""

    def __init__(self, s3, bucket, key="k", **more):
        self.s3, self.where = s3, {"Bucket": bucket, "Key": key}
        self.answer = s3.create_multipart_upload(**self.where, **more)
        self.where["UploadId"] = self.id = self.answer["UploadId"]
        self.parts = []

    def put(self, number, body, **more):
        answer = self.s3.upload_part(**self.where, PartNumber=number, Body=body, **more)
        self.parts.append({"ETag": answer["ETag"], "PartNumber": number})
        return answer

    def complete(self, parts=None, **more):
        listed = {"Parts": self.parts if parts is None else parts}
        return self.s3.complete_multipart_upload(**self.where, MultipartUpload=listed, **more)

    def refused(self, code, status, parts=None, **more):
        listed = {"Parts": self.parts if parts is None else parts}
        call = self.s3.complete_multipart_upload
        return refused(code, status, call, **self.where, MultipartUpload=listed, **more)


def composite(*bodies):
    whole = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
    return f'"{whole}-{len(bodies)}"'


BODIES = [os.urandom(PART), os.urandom(PART + 7), b"the end"]


@pytest.fixture
def three(s3, bucket):
    """A completed upload of three parts."""
    upload = Upload(s3, bucket, Metadata={"of": "three"}, ContentType="text/x", StorageClass="STANDARD_IA")
    for number, body in enumerate(BODIES, 1):
        upload.put(number, body)
    upload.done = upload.complete()
    return upload


def test_parts_become_an_object(s3, bucket, three):
    assert three.done["ETag"] == composite(*BODIES) and three.done["Key"] == "k" and three.done["Bucket"] == bucket
    assert three.done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(BODIES) and got["Metadata"] == {"of": "three"}
    assert (got["ContentType"], got["StorageClass"]) == ("text/x", "STANDARD_IA")
    assert "x-amz-mp-parts-count" not in headers(got)
    assert read(s3, bucket, "k", Range=f"bytes={PART - 2}-{PART + 1}") == BODIES[0][-2:] + BODIES[1][:2]


def test_get_by_part_number(s3, bucket, three):
    start = 0
    for number, body in enumerate(BODIES, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert status(got) == 206 and got["PartsCount"] == 3 and got["ETag"] == composite(*BODIES)
        assert got["ContentRange"] == f"bytes {start}-{start + len(body) - 1}/{sum(map(len, BODIES))}"
        assert got["Body"].read() == body
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(body), 3)
        start += len(body)
    answer = send("GET", f"/{bucket}/k?partNumber=4")
    assert (answer.status, answer.code) in [(416, "InvalidPartNumber"), (400, "InvalidPart")], answer


def test_attributes_of_parts(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    parts = []
    for number, body in enumerate(BODIES, 1):
        got = upload.put(number, body, ChecksumAlgorithm="SHA256")
        parts.append({"ETag": got["ETag"], "PartNumber": number, "ChecksumSHA256": got["ChecksumSHA256"]})
    upload.complete(parts)
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "ETag"])
    listed = got["ObjectParts"]
    assert listed["TotalPartsCount"] == 3 and got["ETag"] == composite(*BODIES).strip('"')
    assert [p["Size"] for p in listed["Parts"]] == [len(b) for b in BODIES]
    page = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], MaxParts=2)["ObjectParts"]
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 2 and page["MaxParts"] == 2
    rest = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)
    rest = rest["ObjectParts"]
    assert [p["PartNumber"] for p in rest["Parts"]] == [3] and not rest["IsTruncated"]


def test_complete_again_is_the_same(s3, bucket, three):
    again = three.complete()
    assert (again["ETag"], again.get("VersionId")) == (three.done["ETag"], three.done.get("VersionId"))
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **three.where)


def test_complete_again_of_a_version(s3, versioned):
    upload = Upload(s3, versioned)
    upload.put(1, b"x")
    first, second = upload.complete(), upload.complete()
    assert first["VersionId"] == second["VersionId"]
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1


def test_uploads_are_invisible_until_they_are_completed(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_abort(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"x")
    assert status(s3.abort_multipart_upload(**upload.where)) == 204
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **upload.where)
    refused("NoSuchUpload", 404, s3.upload_part, **upload.where, PartNumber=2, Body=b"x")
    refused("NoSuchUpload", 404, s3.list_parts, **upload.where)
    upload.refused("NoSuchUpload", 404)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "99999999999"])
def test_part_number_out_of_range(s3, bucket, number):
    upload = Upload(s3, bucket)
    answer = send("PUT", f"/{bucket}/k?partNumber={number}&uploadId={upload.id}", b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_part_number_at_the_limits(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(10_000, b"last")
    upload.complete()
    assert read(s3, bucket, "k") == b"last"


def test_a_part_again_replaces(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"first")
    upload.parts.clear()
    upload.put(1, b"second")
    assert [p["Size"] for p in s3.list_parts(**upload.where)["Parts"]] == [6]
    upload.complete()
    assert read(s3, bucket, "k") == b"second"


def test_small_parts(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"small")
    upload.put(2, b"small")
    upload.refused("EntityTooSmall", 400)
    upload.complete(upload.parts[1:])
    assert read(s3, bucket, "k") == b"small"


def test_only_listed_parts_count(s3, bucket):
    upload = Upload(s3, bucket)
    for number in (2, 5, 9):
        upload.put(number, BODIES[0] if number < 9 else b"end")
    done = upload.complete([upload.parts[0], upload.parts[2]])
    assert done["ETag"] == composite(BODIES[0], b"end")
    assert read(s3, bucket, "k") == BODIES[0] + b"end"


def test_order_and_identity_of_parts(s3, bucket):
    upload = Upload(s3, bucket)
    for number in (1, 2):
        upload.put(number, BODIES[0])
    upload.refused("InvalidPartOrder", 400, upload.parts[::-1])
    upload.refused("InvalidPart", 400, [{"ETag": '"no such part"', "PartNumber": 1}])
    upload.refused("InvalidPart", 400, [upload.parts[0], {**upload.parts[1], "PartNumber": 3}])
    upload.complete([{**part, "ETag": part["ETag"].strip('"')} for part in upload.parts])


@pytest.mark.parametrize("body", [b"", b"<CompleteMultipartUpload/>", b"<CompleteMultipartUpload><Part>", b"nonsense"])
def test_complete_with_no_list(s3, bucket, body):
    upload = Upload(s3, bucket)
    answer = send("POST", f"/{bucket}/k?uploadId={upload.id}", body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer


def test_unknown_upload(s3, bucket):
    where = {"Bucket": bucket, "Key": "k", "UploadId": "nobody-began-this-one"}
    refused("NoSuchUpload", 404, s3.upload_part, **where, PartNumber=1, Body=b"x")
    refused("NoSuchUpload", 404, s3.list_parts, **where)
    parts = {"Parts": [{"ETag": '"x"', "PartNumber": 1}]}
    refused("NoSuchUpload", 404, s3.complete_multipart_upload, **where, MultipartUpload=parts)


def test_upload_belongs_to_its_key(s3, bucket):
    upload = Upload(s3, bucket)
    elsewhere = {**upload.where, "Key": "another"}
    refused("NoSuchUpload", 404, s3.upload_part, **elsewhere, PartNumber=1, Body=b"x")


def test_object_size_is_compared(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"12345")
    upload.refused("InvalidRequest", 400, MpuObjectSize=6)
    upload.complete(MpuObjectSize=5)


def test_list_parts(s3, bucket):
    upload = Upload(s3, bucket, StorageClass="STANDARD_IA")
    for number in (3, 1, 7, 5):
        upload.put(number, b"x" * number)
    listed = s3.list_parts(**upload.where)
    assert [(p["PartNumber"], p["Size"]) for p in listed["Parts"]] == [(1, 1), (3, 3), (5, 5), (7, 7)]
    assert listed["Parts"][0]["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"' and listed["Parts"][0]["LastModified"]
    assert listed["Owner"]["ID"] == OWNER[2] and listed["StorageClass"] == "STANDARD_IA" and "Initiator" in listed
    page = s3.list_parts(**upload.where, MaxParts=3)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 5 and page["MaxParts"] == 3
    page = s3.list_parts(**upload.where, MaxParts=3, PartNumberMarker=5)
    assert [p["PartNumber"] for p in page["Parts"]] == [7] and not page["IsTruncated"]
    assert page["PartNumberMarker"] == 5
    assert "Parts" not in s3.list_parts(**upload.where, PartNumberMarker=7)


def test_list_uploads(s3, bucket):
    made = [(key, Upload(s3, bucket, key).id) for key in ("b", "a/1", "a/1", "c", "a/2")]
    expected = sorted(made, key=lambda one: one[0])
    listed = s3.list_multipart_uploads(Bucket=bucket)
    assert [(u["Key"], u["UploadId"]) for u in listed["Uploads"]] == expected, "by key, then as they were begun"
    first = listed["Uploads"][0]
    assert first["Owner"]["ID"] == OWNER[2] and first["Initiated"] and first["StorageClass"] == "STANDARD"
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [u["Key"] for u in page["Uploads"]] == ["a/1", "a/1", "a/2"] and page["Prefix"] == "a/"
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [u["Key"] for u in page["Uploads"]] == ["b", "c"]
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/"]


def test_list_uploads_by_pages(s3, bucket):
    made = [(key, Upload(s3, bucket, key).id) for key in ("a", "a", "a", "b", "c")]
    found, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        found += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert found == made
    after = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="a")
    assert [u["Key"] for u in after["Uploads"]] == ["b", "c"]


def test_list_uploads_by_pages_of_groups(s3, bucket):
    for key in ("a/1", "a/2", "b", "c/1", "c/1", "d"):
        Upload(s3, bucket, key)
    found, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=1, **markers)
        found += [u["Key"] for u in page.get("Uploads", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
    assert found == ["a/", "b", "c/", "d"], "a group is shown once, and passed over as a whole"


def test_upload_of_somebody_else_is_theirs(s3, other, writer_bucket):
    s3.put_bucket_acl(Bucket=writer_bucket, GrantWrite=f"id={OTHER[2]}", GrantFullControl=f"id={OWNER[2]}")
    Upload(other, writer_bucket)
    listed = s3.list_multipart_uploads(Bucket=writer_bucket)["Uploads"][0]
    assert listed["Owner"]["ID"] == OTHER[2] and OTHER[2] in str(listed["Initiator"])


def test_tags_of_create_are_the_objects(s3, bucket):
    upload = Upload(s3, bucket, Tagging="a=1&b=2")
    upload.put(1, b"x")
    upload.complete()
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "2"},
    ]


def test_upload_to_a_missing_bucket(s3):
    refused("NoSuchBucket", 404, s3.create_multipart_upload, Bucket="nobody-made-this-one", Key="k")


def test_part_copy(s3, bucket):
    body = os.urandom(PART + 1000)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    upload = Upload(s3, bucket)
    source = {"Bucket": bucket, "Key": "from"}
    first = s3.upload_part_copy(
        **upload.where, PartNumber=1, CopySource=source, CopySourceRange=f"bytes=0-{PART - 1}"
    )
    assert first["CopyPartResult"]["ETag"] == f'"{hashlib.md5(body[:PART]).hexdigest()}"'
    second = s3.upload_part_copy(**upload.where, PartNumber=2, CopySource=source)
    parts = [{"ETag": one["CopyPartResult"]["ETag"], "PartNumber": n} for n, one in enumerate((first, second), 1)]
    upload.complete(parts)
    assert read(s3, bucket, "k") == body[:PART] + body


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ("bytes=0-20", {"InvalidRange", "InvalidArgument"}),
        ("bytes=5-", {"InvalidArgument"}),
        ("bytes=-5", {"InvalidArgument"}),
        ("0-5", {"InvalidArgument"}),
        ("bytes=5-2", {"InvalidArgument"}),
        ("bytes=a-b", {"InvalidArgument"}),
    ],
)
def test_part_copy_with_a_bad_range(s3, bucket, asked, codes):
    s3.put_object(Bucket=bucket, Key="from", Body=b"0123456789")
    upload = Upload(s3, bucket)
    given = {"x-amz-copy-source": f"/{bucket}/from", "x-amz-copy-source-range": asked}
    answer = send("PUT", f"/{bucket}/k?partNumber=1&uploadId={upload.id}", headers=given)
    assert answer.status in (400, 416) and answer.code in codes, answer


def test_part_copy_of_nothing_and_of_a_version(s3, versioned):
    s3.put_object(Bucket=versioned, Key="empty", Body=b"")
    old = s3.put_object(Bucket=versioned, Key="from", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="from", Body=b"new")
    for key, version, body in (("empty", None, b""), ("from", old, b"old")):
        upload = Upload(s3, versioned, f"to-{key}")
        source = {"Bucket": versioned, "Key": key, **({"VersionId": version} if version else {})}
        answer = s3.upload_part_copy(**upload.where, PartNumber=1, CopySource=source)
        upload.complete([{"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": 1}])
        assert read(s3, versioned, f"to-{key}") == body
        assert answer.get("CopySourceVersionId") == version or version is None


def test_part_copy_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="from", Body=b"x")["ETag"]
    upload = Upload(s3, bucket)
    call = {**upload.where, "PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "from"}}
    refused("PreconditionFailed", 412, s3.upload_part_copy, **call, CopySourceIfMatch='"another"')
    refused("PreconditionFailed", 412, s3.upload_part_copy, **call, CopySourceIfNoneMatch=etag)
    s3.upload_part_copy(**call, CopySourceIfMatch=etag)


def test_copy_of_parts_is_one_piece(s3, bucket, three):
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert answer["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"".join(BODIES)).hexdigest()}"'
    assert read(s3, bucket, "copy") == b"".join(BODIES)


def test_upload_id_is_unguessable(s3, bucket):
    ids = {Upload(s3, bucket).id for _ in range(5)}
    assert len(ids) == 5 and all(re.fullmatch(r"[A-Za-z0-9._~-]{16,}", one) for one in ids)


def test_a_part_again_listed_twice(s3, bucket):
    upload = Upload(s3, bucket)
    upload.put(1, b"first")
    upload.put(1, b"second")
    # AWS names the stale ETag an InvalidPart or the repeated number an InvalidPartOrder; some servers take the last one.
    listed = "".join(f"<Part><PartNumber>1</PartNumber><ETag>{p['ETag']}</ETag></Part>" for p in upload.parts)
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    answer = send("POST", f"/{bucket}/k?uploadId={upload.id}", body)
    assert answer.status == 200 or answer.code in ("InvalidPart", "InvalidPartOrder"), answer


def test_ten_thousand_and_one_parts(s3, bucket):
    upload = Upload(s3, bucket)
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>x</ETag></Part>" for n in range(1, 10_002))
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    answer = send("POST", f"/{bucket}/k?uploadId={upload.id}", body)
    assert answer.status == 400 and answer.code in ("MalformedXML", "InvalidPart", "InvalidArgument"), answer
