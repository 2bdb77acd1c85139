"""S3 as boto3 sees it: `python s3.py CASE`, with the variables of `windtunnel env` set."""

import hashlib
import os
import sys

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from waiting import cases, refused

s3 = boto3.client("s3")


def bucket(name, versioned=True):
    s3.create_bucket(Bucket=name)
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def read(name, key, **more):
    return s3.get_object(Bucket=name, Key=key, **more)["Body"].read()


def buckets():
    name = bucket("first-bucket", versioned=False)
    assert name in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=name)
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    refused("404", s3.head_bucket, Bucket="no-such-bucket")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket")
    s3.put_object(Bucket=name, Key="a", Body=b"a")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=name)
    other = bucket("second-bucket", versioned=False)
    s3.delete_bucket(Bucket=other)
    refused("404", s3.head_bucket, Bucket=other)
    refused("InvalidBucketName", s3.create_bucket, Bucket="Not_A_Bucket")


def objects():
    name = bucket("objects")
    body = os.urandom(300_000)
    put = s3.put_object(
        Bucket=name, Key="dir/ö file.bin", Body=body, ContentType="application/x-thing", Metadata={"who": "me"}
    )
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', put["ETag"]
    got = s3.get_object(Bucket=name, Key="dir/ö file.bin")
    assert got["Body"].read() == body
    assert got["ContentType"] == "application/x-thing" and got["Metadata"] == {"who": "me"}
    head = s3.head_object(Bucket=name, Key="dir/ö file.bin")
    assert head["ContentLength"] == len(body) and head["VersionId"] == put["VersionId"]
    part = s3.get_object(Bucket=name, Key="dir/ö file.bin", Range="bytes=100-199")
    assert part["Body"].read() == body[100:200]
    assert part["ContentRange"] == f"bytes 100-199/{len(body)}"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused("NoSuchKey", s3.get_object, Bucket=name, Key="absent")
    refused("404", s3.head_object, Bucket=name, Key="absent")
    s3.put_object(Bucket=name, Key="empty", Body=b"")
    assert read(name, "empty") == b""
    s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "dir/ö file.bin"})
    assert read(name, "copy") == body
    refused("304", s3.get_object, Bucket=name, Key="copy", IfNoneMatch=put["ETag"])
    refused("PreconditionFailed", s3.put_object, Bucket=name, Key="copy", Body=b"x", IfNoneMatch="*")


def keys_are_not_paths():
    name = bucket("keys")
    keys = ["../../escape", "a//b", "/absolute", "dots/./x", "trailing/", "a" * 1024, "dir", "dir/x"]
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    for key in keys:
        assert read(name, key) == key.encode(), key
    listed = {o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]}
    assert listed == set(keys), listed ^ set(keys)


def listings():
    name = bucket("listings")
    for number in range(25):
        s3.put_object(Bucket=name, Key=f"logs/{number % 5}/{number:02}.txt", Body=b"x")
    s3.put_object(Bucket=name, Key="top.txt", Body=b"x")
    answer = s3.list_objects_v2(Bucket=name, Delimiter="/")
    assert [p["Prefix"] for p in answer["CommonPrefixes"]] == ["logs/"]
    assert [o["Key"] for o in answer["Contents"]] == ["top.txt"]
    answer = s3.list_objects_v2(Bucket=name, Prefix="logs/", Delimiter="/")
    assert len(answer["CommonPrefixes"]) == 5
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, PaginationConfig={"PageSize": 7})
    keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
    assert len(keys) == 26 and keys == sorted(keys)
    old = s3.list_objects(Bucket=name, Prefix="logs/0/", MaxKeys=3)
    assert len(old["Contents"]) == 3 and old["IsTruncated"]
    after = s3.list_objects_v2(Bucket=name, StartAfter="logs/4/24.txt")
    assert [o["Key"] for o in after["Contents"]] == ["top.txt"]


def versions():
    name = bucket("versions")
    ids = [s3.put_object(Bucket=name, Key="k", Body=f"v{n}".encode())["VersionId"] for n in range(3)]
    assert len(set(ids)) == 3
    listed = s3.list_object_versions(Bucket=name)["Versions"]
    assert [v["VersionId"] for v in listed] == ids[::-1], "newest first"
    assert [v["IsLatest"] for v in listed] == [True, False, False]
    for n, version in enumerate(ids):
        assert read(name, "k", VersionId=version) == f"v{n}".encode()
    marker = s3.delete_object(Bucket=name, Key="k")
    assert marker["DeleteMarker"] is True
    refused("NoSuchKey", s3.get_object, Bucket=name, Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    markers = s3.list_object_versions(Bucket=name)["DeleteMarkers"]
    assert [m["VersionId"] for m in markers] == [marker["VersionId"]] and markers[0]["IsLatest"]
    s3.delete_object(Bucket=name, Key="k", VersionId=marker["VersionId"])
    assert read(name, "k") == b"v2"
    s3.delete_object(Bucket=name, Key="k", VersionId=ids[2])
    assert read(name, "k") == b"v1"
    refused("NoSuchVersion", s3.get_object, Bucket=name, Key="k", VersionId=ids[2])
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k", "VersionId": v} for v in ids[:2]]})
    assert len(gone["Deleted"]) == 2 and not gone.get("Errors")
    answer = s3.list_object_versions(Bucket=name)
    assert "Versions" not in answer and "DeleteMarkers" not in answer


def multipart():
    name = bucket("multipart")
    parts = [os.urandom(5 * 1024 * 1024), os.urandom(5 * 1024 * 1024), b"the end"]
    upload = s3.create_multipart_upload(Bucket=name, Key="big", Metadata={"of": "three"})["UploadId"]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=name)["Uploads"]] == [upload]
    done = []
    for number, body in enumerate(parts, start=1):
        answer = s3.upload_part(Bucket=name, Key="big", UploadId=upload, PartNumber=number, Body=body)
        done.append({"ETag": answer["ETag"], "PartNumber": number})
    listed = s3.list_parts(Bucket=name, Key="big", UploadId=upload)["Parts"]
    assert [p["Size"] for p in listed] == [len(body) for body in parts]
    refused("NoSuchKey", s3.get_object, Bucket=name, Key="big")
    answer = s3.complete_multipart_upload(
        Bucket=name, Key="big", UploadId=upload, MultipartUpload={"Parts": done}
    )
    digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in parts)).hexdigest()
    assert answer["ETag"] == f'"{digest}-3"', answer["ETag"]
    got = s3.get_object(Bucket=name, Key="big")
    assert got["Body"].read() == b"".join(parts) and got["Metadata"] == {"of": "three"}
    upload = s3.create_multipart_upload(Bucket=name, Key="never")["UploadId"]
    s3.abort_multipart_upload(Bucket=name, Key="never", UploadId=upload)
    refused("NoSuchUpload", s3.list_parts, Bucket=name, Key="never", UploadId=upload)
    small = s3.create_multipart_upload(Bucket=name, Key="small")["UploadId"]
    done = []
    for number in (1, 2):
        answer = s3.upload_part(Bucket=name, Key="small", UploadId=small, PartNumber=number, Body=b"tiny")
        done.append({"ETag": answer["ETag"], "PartNumber": number})
    refused(
        "EntityTooSmall",
        s3.complete_multipart_upload,
        Bucket=name,
        Key="small",
        UploadId=small,
        MultipartUpload={"Parts": done},
    )


def presigned():
    name = bucket("presigned")
    for version in ("s3v4", "s3"):
        signer = boto3.client("s3", config=Config(signature_version=version))
        put = signer.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "k"}, ExpiresIn=60)
        answer = requests.put(put, data=b"by url", timeout=10)
        assert answer.status_code == 200, (version, answer.status_code, answer.text)
        get = signer.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "k"}, ExpiresIn=60)
        answer = requests.get(get, timeout=10)
        assert answer.content == b"by url", (version, answer.status_code, answer.text)
        answer = requests.get(get.replace("/k?", "/other?"), timeout=10)
        assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text, (version, answer.text)


def damaged():
    name = bucket("damaged")
    wrong = {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}  # Of nothing.
    refused("BadDigest", s3.put_object, Bucket=name, Key="k", Body=b"something", **wrong)
    refused("NoSuchKey", s3.get_object, Bucket=name, Key="k")


def fill(name, count):
    """Puts objects one after the other, telling each acknowledged one, until windtunnel is gone."""
    bucket(name)
    for number in range(int(count)):
        try:
            put = s3.put_object(Bucket=name, Key=f"k{number % 10}", Body=f"body {number}".encode())
        except Exception:  # The other side was killed, which is the point.
            return
        print(f"put {number} {put['VersionId']}", flush=True)


def kept(name):
    """Reads `fill`'s lines from standard input: every acknowledged version is there, whole."""
    lines = [line.split() for line in sys.stdin if line.startswith("put ")]
    assert lines, "nothing was acknowledged"
    for _, number, version in lines:
        assert read(name, f"k{int(number) % 10}", VersionId=version) == f"body {number}".encode()
    listed = [
        v["VersionId"]
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name)
        for v in page.get("Versions", [])
    ]
    missing = {version for _, _, version in lines} - set(listed)
    assert not missing, missing
    print(f"kept {len(lines)} versions")


def full_disk(name):
    """Writes until the disk is full: then an honest error, and what was there stays readable."""
    bucket(name)
    s3.put_object(Bucket=name, Key="first", Body=b"first")
    quick = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
    try:
        for number in range(200):
            quick.put_object(Bucket=name, Key=f"big{number}", Body=os.urandom(1024 * 1024))
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status >= 500, error
    else:
        raise AssertionError("the disk never filled up")
    assert read(name, "first") == b"first"
    assert "first" in [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]]


if __name__ == "__main__":
    cases(sys.modules[__name__])
