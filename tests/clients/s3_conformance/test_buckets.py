"""Buckets: names, life, location, listing."""

import pytest
from conftest import headers, refused, status
from wire import OTHER, send

BAD = [
    "ab",
    "a" * 64,
    "Upper",
    "under_score",
    "10.0.0.1",
    "-begins",
    "ends-",
    "two..dots",
    ".dot",
    "dot.",
    "xn--coded",
    "sthree-x",
    "some-s3alias",
    "some--ol-s3",
    "some--x-s3",
    "dash-.dot",
    "dot.-dash",
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_name_is_refused(bad):
    answer = send("PUT", f"/{bad}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer


@pytest.mark.parametrize("good", ["abc", "a" * 63, "with.dots.in", "1-begins-with-a-digit", "9.9.9"])
def test_good_name_is_accepted(s3, good):
    s3.create_bucket(Bucket=good)
    s3.delete_bucket(Bucket=good)


def test_bad_name_elsewhere_does_not_exist():
    answer = send("GET", "/Not_A_Bucket")
    assert (answer.status, answer.code) in [(404, "NoSuchBucket"), (400, "InvalidBucketName")]
    assert send("HEAD", "/Not_A_Bucket").status in (400, 404)


def test_create_answers_its_location(name):
    answer = send("PUT", f"/{name}")
    assert answer.status == 200 and answer.headers["location"] == f"/{name}" and answer.body == b""


def test_create_again_by_its_owner_keeps_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    assert status(s3.create_bucket(Bucket=bucket)) == 200
    assert s3.get_object(Bucket=bucket, Key="kept")["ContentLength"] == 1


def test_create_again_elsewhere_is_a_conflict(s3, name):
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    refused("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket=name, CreateBucketConfiguration=where)


def test_create_of_somebody_elses(bucket, other):
    refused("BucketAlreadyExists", 409, other.create_bucket, Bucket=bucket)


def test_location(s3, bucket, name):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.create_bucket(Bucket=f"{name}-eu", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert s3.get_bucket_location(Bucket=f"{name}-eu")["LocationConstraint"] == "eu-central-1"
    assert "LocationConstraint" in send("GET", f"/{bucket}?location").text


def test_create_with_an_empty_body_and_with_malformed_xml(name):
    assert send("PUT", f"/{name}", headers={"content-length": "0"}).status == 200
    answer = send("PUT", f"/{name}-bad", b"<CreateBucketConfiguration><oops")
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_us_east_1_is_no_constraint(name):
    body = b"<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"
    answer = send("PUT", f"/{name}", body)
    assert (answer.status, answer.code) == (400, "InvalidLocationConstraint")


def test_head(s3, bucket):
    answer = s3.head_bucket(Bucket=bucket)
    assert headers(answer)["x-amz-bucket-region"] == "us-east-1"
    refused("404", 404, s3.head_bucket, Bucket="nobody-made-this-one")
    missing = send("HEAD", "/nobody-made-this-one")
    assert missing.status == 404 and missing.body == b""


def test_head_of_somebody_elses_is_forbidden(bucket, other):
    refused("403", 403, other.head_bucket, Bucket=bucket)


def test_delete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    assert status(s3.delete_bucket(Bucket=bucket)) == 204
    refused("NoSuchBucket", 404, s3.delete_bucket, Bucket=bucket)


def test_delete_waits_for_versions_and_markers(s3, versioned):
    put = s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=put["VersionId"])
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=versioned)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker["VersionId"])
    s3.delete_bucket(Bucket=versioned)


def test_delete_drops_uploads(s3, bucket):
    s3.create_multipart_upload(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_list_is_sorted_and_owned(s3, other, name):
    made = [f"{name}-{letter}" for letter in "cab"]
    for one in made:
        s3.create_bucket(Bucket=one)
    other.create_bucket(Bucket=f"{name}-other")
    listed = s3.list_buckets()
    names = [b["Name"] for b in listed["Buckets"]]
    assert names == sorted(names) and set(made) <= set(names) and f"{name}-other" not in names
    theirs = other.list_buckets()
    assert f"{name}-other" in [b["Name"] for b in theirs["Buckets"]]
    assert theirs["Owner"]["ID"] == OTHER[2] != listed["Owner"]["ID"]


def test_list_pages(s3, name):
    made = sorted(f"paged-{name}-{number}" for number in range(5))
    for one in made:
        s3.create_bucket(Bucket=one)
    found, token, pages = [], {}, 0
    while True:
        page = s3.list_buckets(Prefix=f"paged-{name}", MaxBuckets=2, **token)
        found += [b["Name"] for b in page["Buckets"]]
        pages += 1
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert (found, pages) == (made, 3)


def test_list_by_region(s3, name):
    s3.create_bucket(Bucket=f"{name}-eu", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    s3.create_bucket(Bucket=f"{name}-us")
    listed = [b["Name"] for b in s3.list_buckets(BucketRegion="eu-north-1", Prefix=name)["Buckets"]]
    assert listed == [f"{name}-eu"]


def test_list_anonymously():
    answer = send("GET", "/", who=None)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "call",
    ["head_bucket", "list_objects_v2", "get_bucket_location", "get_bucket_versioning", "list_multipart_uploads"],
)
def test_expected_owner(s3, bucket, call):
    getattr(s3, call)(Bucket=bucket, ExpectedBucketOwner="123456789012")
    code = "403" if call == "head_bucket" else "AccessDenied"
    refused(code, 403, getattr(s3, call), Bucket=bucket, ExpectedBucketOwner="999999999999")


def test_expected_owner_of_objects(s3, bucket):
    wrong = {"Bucket": bucket, "Key": "k", "ExpectedBucketOwner": "999999999999"}
    refused("AccessDenied", 403, s3.put_object, Body=b"x", **wrong)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused("AccessDenied", 403, s3.get_object, **wrong)
    refused("AccessDenied", 403, s3.delete_object, **wrong)


def test_virtual_host_style(s3, bucket):
    host = f"{bucket}.s3.localhost"
    assert send("PUT", "/in/host", b"hello", host=host).status == 200
    assert send("GET", "/in/host", host=host).body == b"hello"
    assert s3.head_object(Bucket=bucket, Key="in/host")["ContentLength"] == 5
    assert "in/host" in send("GET", "/?list-type=2", host=f"{bucket}.localhost").text
