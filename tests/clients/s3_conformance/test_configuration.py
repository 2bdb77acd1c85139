"""What is configured on buckets and objects: tags, policies, CORS, lifecycle, encryption and the rest."""

import datetime
import json
import time

import pytest
from conftest import headers, read, refused, status
from wire import ENDPOINT, raw, send

TAGS = [{"Key": "a", "Value": "1"}, {"Key": "B", "Value": ""}, {"Key": "ü", "Value": "x y"}]


def many(count):
    return {"TagSet": [{"Key": f"k{number}", "Value": "v"} for number in range(count)]}


class TestObjectTags:
    @pytest.fixture
    def where(self, s3, versioned):
        s3.put_object(Bucket=versioned, Key="k", Body=b"x")
        return {"Bucket": versioned, "Key": "k"}

    def test_life(self, s3, where):
        assert s3.get_object_tagging(**where)["TagSet"] == []
        assert status(s3.put_object_tagging(**where, Tagging={"TagSet": TAGS})) == 200
        got = s3.get_object_tagging(**where)
        assert got["TagSet"] == TAGS and got["VersionId"]
        assert s3.head_object(**where)["ResponseMetadata"]["HTTPHeaders"].get("x-amz-tagging-count") in ("3", None)
        assert status(s3.delete_object_tagging(**where)) == 204
        assert s3.get_object_tagging(**where)["TagSet"] == []

    @pytest.mark.parametrize(
        "bad",
        [
            many(11),
            {"TagSet": [{"Key": "k" * 129, "Value": "v"}]},
            {"TagSet": [{"Key": "k", "Value": "v" * 257}]},
            {"TagSet": [{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}]},
        ],
    )
    def test_limits(self, s3, where, bad):
        s3.put_object_tagging(**where, Tagging={"TagSet": TAGS})
        answer = refused_any(s3.put_object_tagging, ("InvalidTag", "BadRequest"), **where, Tagging=bad)
        assert answer == 400
        assert s3.get_object_tagging(**where)["TagSet"] == TAGS

    def test_at_the_limits(self, s3, where):
        s3.put_object_tagging(**where, Tagging=many(10))
        s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "ü" * 128, "Value": "ü" * 256}]})

    def test_in_a_header(self, s3, versioned):
        s3.put_object(Bucket=versioned, Key="h", Body=b"x", Tagging="z=1&a%20b=c%2Bd&empty=")
        assert s3.get_object_tagging(Bucket=versioned, Key="h")["TagSet"] == [
            {"Key": "z", "Value": "1"},
            {"Key": "a b", "Value": "c+d"},
            {"Key": "empty", "Value": ""},
        ]
        header = "&".join(f"k{n}=v" for n in range(11))
        refused_any(s3.put_object, ("InvalidTag", "BadRequest"), Bucket=versioned, Key="h", Body=b"x", Tagging=header)

    def test_by_version(self, s3, where):
        old = s3.head_object(**where)["VersionId"]
        s3.put_object_tagging(**where, Tagging={"TagSet": TAGS})
        s3.put_object(**where, Body=b"y", Tagging="new=1")
        assert s3.get_object_tagging(**where, VersionId=old)["TagSet"] == TAGS
        assert s3.get_object_tagging(**where)["TagSet"] == [{"Key": "new", "Value": "1"}]
        s3.delete_object_tagging(**where, VersionId=old)
        assert s3.get_object_tagging(**where, VersionId=old)["TagSet"] == []

    def test_copies(self, s3, where):
        s3.put_object_tagging(**where, Tagging={"TagSet": TAGS})
        copy = {"Bucket": where["Bucket"], "CopySource": where}
        s3.copy_object(Key="same", **copy)
        assert s3.get_object_tagging(Bucket=where["Bucket"], Key="same")["TagSet"] == TAGS
        s3.copy_object(Key="own", Tagging="own=1", TaggingDirective="REPLACE", **copy)
        assert s3.get_object_tagging(Bucket=where["Bucket"], Key="own")["TagSet"] == [{"Key": "own", "Value": "1"}]

    def test_missing(self, s3, where):
        refused("NoSuchKey", 404, s3.get_object_tagging, Bucket=where["Bucket"], Key="absent")


def refused_any(call, codes, **arguments):
    """Refused with one of these codes; gives the status."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["Error"]["Code"] in codes, answer["Error"]
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def test_bucket_tags(s3, bucket):
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS
    s3.put_bucket_tagging(Bucket=bucket, Tagging=many(50))
    assert refused_any(s3.put_bucket_tagging, ("InvalidTag", "BadRequest"), Bucket=bucket, Tagging=many(51)) == 400
    twice = {"TagSet": [{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}]}
    refused("InvalidTag", 400, s3.put_bucket_tagging, Bucket=bucket, Tagging=twice)
    assert status(s3.delete_bucket_tagging(Bucket=bucket)) == 204
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=bucket)


# What a bucket answers that nobody has configured: everything Terraform reads.
UNSET = [
    ("get_bucket_policy", "NoSuchBucketPolicy"),
    ("get_bucket_cors", "NoSuchCORSConfiguration"),
    ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
    ("get_bucket_website", "NoSuchWebsiteConfiguration"),
    ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
    ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ("get_bucket_tagging", "NoSuchTagSet"),
]


@pytest.mark.parametrize(("call", "code"), UNSET)
def test_unset(s3, bucket, call, code):
    refused(code, 404, getattr(s3, call), Bucket=bucket)
    refused("NoSuchBucket", 404, getattr(s3, call), Bucket="nobody-made-this-one")


def test_unset_and_empty(s3, bucket):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    got = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert set(got) <= {"ResponseMetadata"}
    for call in ("analytics", "inventory", "metrics", "intelligent_tiering"):
        listed = getattr(s3, f"list_bucket_{call}_configurations")(Bucket=bucket)
        assert not [name for name in listed if name.endswith("ConfigurationList")]


def test_new_buckets_are_closed(s3, bucket):
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True} and len(blocked) == 4
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_public_access_block(s3, bucket):
    flags = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=flags)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == flags
    assert status(s3.delete_public_access_block(Bucket=bucket)) == 204
    refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket=bucket)


def test_public_policy_is_blocked(s3, bucket):
    refused("AccessDenied", 403, s3.put_bucket_policy, Bucket=bucket, Policy=public(bucket))
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public(bucket))


def public(bucket, effect="Allow", action="s3:GetObject", principal="*", **more):
    statement = {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        **more,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class TestPolicy:
    def test_life(self, s3, writer_bucket):
        text = public(writer_bucket)
        assert status(s3.put_bucket_policy(Bucket=writer_bucket, Policy=text)) in (200, 204)
        assert s3.get_bucket_policy(Bucket=writer_bucket)["Policy"] == text
        assert status(s3.delete_bucket_policy(Bucket=writer_bucket)) == 204
        refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=writer_bucket)

    @pytest.mark.parametrize("bad", ["not json", "{}", '{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}'])
    def test_malformed(self, s3, writer_bucket, bad):
        refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=writer_bucket, Policy=bad)

    def test_of_another_bucket(self, s3, writer_bucket):
        refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=writer_bucket, Policy=public("another-bucket"))

    def test_opens_to_everybody(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x")
        assert send("GET", f"/{writer_bucket}/k", who=None).status == 403
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket))
        assert send("GET", f"/{writer_bucket}/k", who=None).body == b"x"
        assert send("PUT", f"/{writer_bucket}/k", b"y", who=None).status == 403

    def test_opens_to_somebody(self, s3, other, third, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x")
        principal = {"AWS": "arn:aws:iam::123456789012:user/other"}
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket, principal=principal, action="s3:Get*"))
        assert read(other, writer_bucket, "k") == b"x"
        refused("AccessDenied", 403, third.get_object, Bucket=writer_bucket, Key="k")
        refused("AccessDenied", 403, other.put_object, Bucket=writer_bucket, Key="k", Body=b"y")

    def test_deny_wins(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x")
        allow, deny = (json.loads(public(writer_bucket, effect))["Statement"][0] for effect in ("Allow", "Deny"))
        text = json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=text)
        assert send("GET", f"/{writer_bucket}/k", who=None).status == 403

    def test_delete_many_is_judged_key_by_key(self, s3, other, writer_bucket):
        for key in ("open/1", "open/2", "closed/1"):
            s3.put_object(Bucket=writer_bucket, Key=key, Body=b"x")
        document = json.loads(public(writer_bucket, action="s3:DeleteObject"))
        document["Statement"][0]["Resource"] = f"arn:aws:s3:::{writer_bucket}/open/*"
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=json.dumps(document))
        keys = {"Objects": [{"Key": key} for key in ("open/1", "closed/1", "open/none")]}
        answer = other.delete_objects(Bucket=writer_bucket, Delete=keys)
        assert {one["Key"] for one in answer["Deleted"]} == {"open/1", "open/none"}
        assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("closed/1", "AccessDenied")]
        assert [one["Key"] for one in s3.list_objects_v2(Bucket=writer_bucket)["Contents"]] == ["closed/1", "open/2"]

    def test_delete_many_that_the_owner_denied_itself(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="kept", Body=b"x")
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket, "Deny", "s3:DeleteObject"))
        answer = s3.delete_objects(Bucket=writer_bucket, Delete={"Objects": [{"Key": "kept"}]})
        assert answer["Errors"][0]["Code"] == "AccessDenied" and "Deleted" not in answer
        assert read(s3, writer_bucket, "kept") == b"x"

    def test_condition_on_encryption(self, s3, writer_bucket):
        condition = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
        text = public(writer_bucket, "Deny", "s3:PutObject", Condition=condition)
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=text)
        refused("AccessDenied", 403, s3.put_object, Bucket=writer_bucket, Key="k", Body=b"x")
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")

    def test_condition_on_the_prefix(self, s3, other, writer_bucket):
        condition = {"StringEquals": {"s3:prefix": "open/"}}
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket, action="s3:ListBucket", Condition=condition))
        other.list_objects_v2(Bucket=writer_bucket, Prefix="open/")
        refused("AccessDenied", 403, other.list_objects_v2, Bucket=writer_bucket, Prefix="closed/")

    def test_condition_on_tags(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="open", Body=b"x", Tagging="security=public")
        s3.put_object(Bucket=writer_bucket, Key="closed", Body=b"x", Tagging="security=private")
        condition = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket, Condition=condition))
        assert send("GET", f"/{writer_bucket}/open", who=None).status == 200
        assert send("GET", f"/{writer_bucket}/closed", who=None).status == 403

    def test_status(self, s3, writer_bucket):
        # With no policy there is none to be public; AWS may also answer that there is none.
        answer = send("GET", f"/{writer_bucket}?policyStatus")
        assert answer.code == "NoSuchBucketPolicy" or answer.inside("IsPublic").lower() == "false"
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket))
        assert s3.get_bucket_policy_status(Bucket=writer_bucket)["PolicyStatus"]["IsPublic"] is True
        principal = {"AWS": "arn:aws:iam::123456789012:user/other"}
        s3.put_bucket_policy(Bucket=writer_bucket, Policy=public(writer_bucket, principal=principal))
        assert s3.get_bucket_policy_status(Bucket=writer_bucket)["PolicyStatus"]["IsPublic"] is False


CORS = {
    "CORSRules": [
        {
            "ID": "one",
            "AllowedOrigins": ["http://*.example.com"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["x-amz-*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
    ]
}


class TestCors:
    @pytest.fixture
    def open(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
        return f"/{bucket}/k"

    def test_life(self, s3, bucket):
        assert status(s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)) == 200
        assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == CORS["CORSRules"]
        assert status(s3.delete_bucket_cors(Bucket=bucket)) == 204
        refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=bucket)

    def test_unknown_method(self, s3, bucket):
        rules = {"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["BREW"]}]}
        refused("InvalidRequest", 400, s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=rules)

    def ask(self, target, **given):
        return raw("OPTIONS", target, {"host": ENDPOINT.netloc, **{n.replace("_", "-"): v for n, v in given.items()}})

    def test_preflight(self, open):
        answer = self.ask(
            open,
            origin="http://a.example.com",
            access_control_request_method="PUT",
            access_control_request_headers="x-amz-date",
        )
        assert answer.status == 200, answer
        assert answer.headers["access-control-allow-origin"] == "http://a.example.com"
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "x-amz-date"
        assert answer.headers["access-control-max-age"] == "60"

    def test_preflight_of_a_star(self, open):
        answer = self.ask(open, origin="http://elsewhere", access_control_request_method="HEAD")
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize(
        ("origin", "method", "names"),
        [
            ("http://elsewhere", "GET", ""),
            ("http://a.example.com", "DELETE", ""),
            ("http://a.example.com", "GET", "content-type"),
            ("http://a.example.com.evil", "GET", ""),
        ],
    )
    def test_preflight_that_no_rule_allows(self, open, origin, method, names):
        given = {"access_control_request_headers": names} if names else {}
        answer = self.ask(open, origin=origin, access_control_request_method=method, **given)
        assert (answer.status, answer.code) == (403, "AccessForbidden"), answer

    def test_preflight_without_an_origin(self, open):
        assert self.ask(open, access_control_request_method="GET").status == 400

    def test_preflight_without_rules(self, bucket):
        answer = self.ask(f"/{bucket}/k", origin="http://a.example.com", access_control_request_method="GET")
        assert answer.status == 403

    def test_plain_calls(self, open):
        answer = send("GET", open, headers={"origin": "http://a.example.com"})
        assert answer.headers["access-control-allow-origin"] == "http://a.example.com"
        assert answer.headers["access-control-expose-headers"] == "ETag"
        assert "access-control-allow-origin" not in send("GET", open, headers={"origin": "http://elsewhere"}).headers
        assert "access-control-allow-origin" not in send("GET", open).headers

    def test_errors_too(self, open):
        answer = send("GET", f"{open}-absent", headers={"origin": "http://a.example.com"})
        assert answer.status == 404 and answer.headers["access-control-allow-origin"] == "http://a.example.com"


def lifecycle(**rule):
    return {"Rules": [{"ID": "one", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", **rule}]}


class TestLifecycle:
    def test_life(self, s3, bucket):
        given = lifecycle(Expiration={"Days": 3}, NoncurrentVersionExpiration={"NoncurrentDays": 2})
        assert status(s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=given)) == 200
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == given["Rules"]
        assert status(s3.delete_bucket_lifecycle(Bucket=bucket)) == 204
        refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)

    def test_ids_are_made(self, s3, bucket):
        rules = {"Rules": [{"Prefix": "a/", "Status": "Enabled", "Expiration": {"Days": 1}}]}
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
        got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]
        assert got["ID"] and got["Prefix"] == "a/"

    @pytest.mark.parametrize(
        ("rule", "codes"),
        [
            ({"Expiration": {"Days": 0}}, {"InvalidArgument"}),
            ({"Expiration": {"Days": -1}}, {"InvalidArgument"}),
            ({"ID": "x" * 256, "Expiration": {"Days": 1}}, {"InvalidArgument"}),
            ({"Status": "enabled", "Expiration": {"Days": 1}}, {"MalformedXML"}),
            ({"Expiration": {"Date": datetime.datetime(2030, 1, 1, 5)}}, {"InvalidArgument"}),
            ({}, {"InvalidRequest", "InvalidArgument", "MalformedXML"}),
        ],
    )
    def test_bad_rules(self, s3, bucket, rule, codes):
        code = refused_any(
            s3.put_bucket_lifecycle_configuration, codes, Bucket=bucket, LifecycleConfiguration=lifecycle(**rule)
        )
        assert code == 400

    def test_same_id_twice(self, s3, bucket):
        rules = {"Rules": lifecycle(Expiration={"Days": 1})["Rules"] * 2}
        refused_any(
            s3.put_bucket_lifecycle_configuration, {"InvalidArgument"}, Bucket=bucket, LifecycleConfiguration=rules
        )

    def test_expiration_header(self, s3, bucket):
        given = lifecycle(Expiration={"Days": 3})
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=given)
        s3.put_object(Bucket=bucket, Key="logs/a", Body=b"x")
        assert 'rule-id="one"' in s3.head_object(Bucket=bucket, Key="logs/a").get("Expiration", "")

    def test_what_is_past_its_date_goes(self, s3, versioned):
        from conftest import wait_for

        s3.put_object(Bucket=versioned, Key="logs/a", Body=b"x")
        s3.put_object(Bucket=versioned, Key="kept", Body=b"x")
        yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        midnight = yesterday.replace(hour=0, minute=0, second=0, microsecond=0)
        given = lifecycle(Expiration={"Date": midnight})
        s3.put_bucket_lifecycle_configuration(Bucket=versioned, LifecycleConfiguration=given)
        began = time.monotonic()
        wait_for(lambda: [o["Key"] for o in s3.list_objects_v2(Bucket=versioned).get("Contents", [])] == ["kept"])
        assert time.monotonic() - began < 30
        # A version stays under the delete marker.
        assert len(s3.list_object_versions(Bucket=versioned, Prefix="logs/")["Versions"]) == 1


def test_encryption_configuration(s3, bucket):
    by = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "some-key"}
    given = {"Rules": [{"ApplyServerSideEncryptionByDefault": by, "BucketKeyEnabled": True}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=given)
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == given
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "some-key")
    assert status(s3.delete_bucket_encryption(Bucket=bucket)) == 204


def test_encryption_headers(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    put = s3.put_object(Bucket=bucket, Key="kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="my-key")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "my-key")
    head = s3.head_object(Bucket=bucket, Key="kms")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "my-key")


@pytest.mark.parametrize(
    "given",
    [
        {"x-amz-server-side-encryption": "ROT13"},
        {"x-amz-server-side-encryption-aws-kms-key-id": "key"},
        {"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-aws-kms-key-id": "key"},
    ],
)
def test_encryption_headers_that_do_not_go_together(bucket, given):
    answer = send("PUT", f"/{bucket}/k", b"x", given)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


class TestCustomerKey:
    KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    ANOTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "x" * 32}

    def test_life(self, s3, bucket):
        where = {"Bucket": bucket, "Key": "k"}
        put = s3.put_object(**where, Body=b"secret", **self.KEY)
        assert put["SSECustomerAlgorithm"] == "AES256" and put["SSECustomerKeyMD5"]
        got = s3.get_object(**where, **self.KEY)
        assert got["Body"].read() == b"secret" and got["SSECustomerAlgorithm"] == "AES256"
        refused("InvalidRequest", 400, s3.get_object, **where)
        refused("400", 400, s3.head_object, **where)
        assert refused_any(s3.get_object, {"AccessDenied", "InvalidRequest"}, **where, **self.ANOTHER) in (400, 403)
        s3.copy_object(
            Bucket=bucket,
            Key="plain",
            CopySource=where,
            CopySourceSSECustomerAlgorithm="AES256",
            CopySourceSSECustomerKey="k" * 32,
        )
        assert read(s3, bucket, "plain") == b"secret"

    @pytest.mark.parametrize(
        ("key", "digest"), [("c2hvcnQ=", None), ("not base64", None), (None, "AAAAAAAAAAAAAAAAAAAAAA=="), (None, "")]
    )
    def test_bad_keys(self, bucket, key, digest):
        import base64

        from wire import md5

        real = b"k" * 32
        name = "x-amz-server-side-encryption-customer"
        given = {
            f"{name}-algorithm": "AES256",
            f"{name}-key": base64.b64encode(real).decode() if key is None else key,
            f"{name}-key-md5": md5(real) if digest is None else digest,
        }
        answer = send("PUT", f"/{bucket}/k", b"x", given)
        assert answer.status == 400 and answer.code in ("InvalidArgument", "InvalidRequest"), answer


def test_notifications(s3, bucket):
    where = "arn:aws:sqs:us-east-1:123456789012:queue"
    given = {"QueueConfigurations": [{"Id": "one", "QueueArn": where, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=given, SkipDestinationValidation=True
    )
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"] == given["QueueConfigurations"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_website(s3, bucket):
    given = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=given)
    got = s3.get_bucket_website(Bucket=bucket)
    assert {name: got[name] for name in given} == given
    s3.delete_bucket_website(Bucket=bucket)
    refused("NoSuchWebsiteConfiguration", 404, s3.get_bucket_website, Bucket=bucket)


def test_logging(s3, bucket, name):
    s3.create_bucket(Bucket=f"{name}-target")
    given = {"LoggingEnabled": {"TargetBucket": f"{name}-target", "TargetPrefix": "log/"}}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=given)
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == given["LoggingEnabled"]
    wrong = {"LoggingEnabled": {"TargetBucket": "nobody-made-this-one", "TargetPrefix": ""}}
    assert refused_any(
        s3.put_bucket_logging, {"InvalidTargetBucketForLogging", "NoSuchKey", "NoSuchBucket"},
        Bucket=bucket, BucketLoggingStatus=wrong,
    ) in (400, 404)


def test_accelerate_and_payment(s3, bucket):
    s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == "Enabled"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"


def test_replication_needs_versions(s3, bucket, name):
    rule = {"ID": "r", "Status": "Enabled", "Prefix": "", "Destination": {"Bucket": f"arn:aws:s3:::{name}"}}
    given = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [rule]}
    refused_any(s3.put_bucket_replication, {"InvalidRequest"}, Bucket=bucket, ReplicationConfiguration=given)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=given)
    assert s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]["Rules"][0]["ID"] == "r"
    s3.delete_bucket_replication(Bucket=bucket)


def test_what_is_not_there_says_so(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for method, target in (("GET", f"/{bucket}/k?torrent"), ("POST", f"/{bucket}/k?select&select-type=2")):
        answer = send(method, target)
        assert answer.status in (400, 501) and answer.code, answer


def test_recreate_resets_nothing_that_is_configured(s3, bucket):
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    s3.create_bucket(Bucket=bucket)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS


def test_overrides_need_a_signature(s3, writer_bucket):
    s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", ACL="public-read")
    assert send("GET", f"/{writer_bucket}/k", who=None).status == 200
    answer = send("GET", f"/{writer_bucket}/k?response-content-type=a", who=None)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer
    assert "x-amz-request-id" in headers({"ResponseMetadata": {"HTTPHeaders": answer.headers}})
