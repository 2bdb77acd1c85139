"""Object lock: default retention, retention and legal holds of versions, and what they forbid."""

import datetime

import pytest
from conftest import headers, refused, status
from test_configuration import refused_any
from test_multipart import Upload

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
TOMORROW, LATER = NOW + datetime.timedelta(days=1), NOW + datetime.timedelta(days=2)


def rule(**retention):
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}


@pytest.fixture
def version(s3, locked):
    return {"Bucket": locked, "Key": "k", "VersionId": s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]}


def retain(s3, version, mode="GOVERNANCE", until=TOMORROW, **more):
    s3.put_object_retention(**version, Retention={"Mode": mode, "RetainUntilDate": until}, **more)


def free(s3, version):
    s3.delete_object(**version, BypassGovernanceRetention=True)


def test_a_locked_bucket_is_versioned_for_ever(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    suspend = {"Status": "Suspended"}
    refused("InvalidBucketState", 409, s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration=suspend)


def test_configuration(s3, locked):
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    for given in (rule(Mode="GOVERNANCE", Days=1), rule(Mode="COMPLIANCE", Years=2)):
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=given)
        assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == given


def test_configuration_of_other_buckets(s3, bucket):
    call = {"Bucket": bucket, "ObjectLockConfiguration": rule(Mode="GOVERNANCE", Days=1)}
    refused("InvalidBucketState", 409, s3.put_object_lock_configuration, **call)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**call)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (rule(Mode="GOVERNANCE", Days=1, Years=1), "MalformedXML"),
        (rule(Mode="GOVERNANCE"), "MalformedXML"),
        (rule(Mode="GOVERNANCE", Days=0), "InvalidRetentionPeriod"),
        (rule(Mode="GOVERNANCE", Years=-1), "InvalidRetentionPeriod"),
        (rule(Mode="governance", Days=1), "MalformedXML"),
        ({**rule(Mode="GOVERNANCE", Days=1), "ObjectLockEnabled": "Disabled"}, "MalformedXML"),
    ],
)
def test_bad_configuration(s3, locked, given, code):
    refused(code, 400, s3.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=given)


def test_default_retention_is_stamped(s3, locked):
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=rule(Mode="GOVERNANCE", Days=1))
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]
    head = s3.head_object(Bucket=locked, Key="k")
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert abs((head["ObjectLockRetainUntilDate"] - TOMORROW).total_seconds()) < 600
    free(s3, {"Bucket": locked, "Key": "k", "VersionId": version})


def test_retention(s3, version):
    refused("NoSuchObjectLockConfiguration", 404, s3.get_object_retention, **version)
    retain(s3, version)
    got = s3.get_object_retention(**version)["Retention"]
    assert got == {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}
    head = headers(s3.head_object(**version))
    assert head["x-amz-object-lock-mode"] == "GOVERNANCE" and head["x-amz-object-lock-retain-until-date"].endswith("Z")
    refused("AccessDenied", 403, s3.delete_object, **version)
    # Without a version id there is only a new marker.
    marker = s3.delete_object(Bucket=version["Bucket"], Key="k")
    assert marker["DeleteMarker"] is True
    assert status(s3.delete_object(**version, BypassGovernanceRetention=True)) == 204


def test_retention_is_not_shortened(s3, version):
    retain(s3, version, until=LATER)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}
    refused("AccessDenied", 403, s3.put_object_retention, **version, Retention=shorter)
    retain(s3, version, BypassGovernanceRetention=True)
    retain(s3, version, until=LATER)
    free(s3, version)


def test_compliance(s3, version):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    retain(s3, version, "COMPLIANCE", soon)
    refused("AccessDenied", 403, s3.delete_object, **version, BypassGovernanceRetention=True)
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": LATER}
    refused("AccessDenied", 403, s3.put_object_retention, **version, Retention=weaker, BypassGovernanceRetention=True)
    retain(s3, version, "COMPLIANCE", LATER)


@pytest.mark.parametrize("retention", [{"Mode": "FOREVER", "RetainUntilDate": TOMORROW}, {"RetainUntilDate": TOMORROW}])
def test_bad_retention(s3, version, retention):
    refused("MalformedXML", 400, s3.put_object_retention, **version, Retention=retention)


def test_retention_in_the_past(s3, version):
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": NOW - datetime.timedelta(days=1)}
    refused("InvalidArgument", 400, s3.put_object_retention, **version, Retention=past)


def test_retention_without_a_lock(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    where = {"Bucket": bucket, "Key": "k"}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}
    refused("InvalidRequest", 400, s3.put_object_retention, **where, Retention=retention)
    refused("InvalidRequest", 400, s3.get_object_retention, **where)
    refused("InvalidRequest", 400, s3.put_object_legal_hold, **where, LegalHold={"Status": "ON"})
    refused("InvalidRequest", 400, s3.get_object_legal_hold, **where)
    refused_any(s3.put_object, {"InvalidRequest"}, **where, Body=b"x", ObjectLockLegalHoldStatus="ON")


def test_legal_hold(s3, version):
    refused("NoSuchObjectLockConfiguration", 404, s3.get_object_legal_hold, **version)
    s3.put_object_legal_hold(**version, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**version)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**version)["ObjectLockLegalHoldStatus"] == "ON"
    refused("AccessDenied", 403, s3.delete_object, **version, BypassGovernanceRetention=True)
    refused("MalformedXML", 400, s3.put_object_legal_hold, **version, LegalHold={"Status": "maybe"})
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    s3.delete_object(**version)


def test_headers_of_put_copy_and_create(s3, locked):
    lock = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": TOMORROW,
        "ObjectLockLegalHoldStatus": "ON",
    }
    s3.put_object(Bucket=locked, Key="put", Body=b"x", **lock)
    s3.copy_object(Bucket=locked, Key="copy", CopySource={"Bucket": locked, "Key": "put"}, **lock)
    upload = Upload(s3, locked, "parts", **lock)
    upload.put(1, b"x")
    upload.complete()
    for key in ("put", "copy", "parts"):
        head = s3.head_object(Bucket=locked, Key=key)
        assert {name: head[name] for name in lock} == lock, key
    # Locks are never copied by themselves.
    s3.copy_object(Bucket=locked, Key="bare", CopySource={"Bucket": locked, "Key": "put"})
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="bare")


def test_delete_many(s3, version):
    retain(s3, version)
    bucket = version["Bucket"]
    open = s3.put_object(Bucket=bucket, Key="open", Body=b"x")["VersionId"]
    wanted = {"Objects": [{"Key": "k", "VersionId": version["VersionId"]}, {"Key": "open", "VersionId": open}]}
    answer = s3.delete_objects(Bucket=bucket, Delete=wanted)
    assert [d["Key"] for d in answer["Deleted"]] == ["open"]
    error = answer["Errors"][0]
    assert (error["Key"], error["VersionId"], error["Code"]) == ("k", version["VersionId"], "AccessDenied")
    answer = s3.delete_objects(Bucket=bucket, Delete=wanted, BypassGovernanceRetention=True)
    assert "Errors" not in answer
