"""Access control lists, with ownership enforced and without."""

import pytest
from conftest import read, refused, status
from test_configuration import refused_any
from wire import OTHER, OWNER, send

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def grants(answer):
    return sorted((g["Grantee"].get("ID") or g["Grantee"].get("URI"), g["Permission"]) for g in answer["Grants"])


class TestOwnershipEnforced:
    def test_lists_are_the_owners(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        for answer in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
            assert answer["Owner"]["ID"] == OWNER[2] and grants(answer) == [(OWNER[2], "FULL_CONTROL")]

    def test_lists_are_not_written(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        code = "AccessControlListNotSupported"
        refused(code, 400, s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
        refused(code, 400, s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read")
        refused(code, 400, s3.put_object, Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
        refused(code, 400, s3.create_multipart_upload, Bucket=bucket, Key="k", ACL="public-read")

    def test_full_control_of_the_owner_is_no_news(self, s3, bucket):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")

    def test_creation_with_both(self, s3, name):
        call = {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced", "ACL": "public-read"}
        refused("InvalidBucketAclWithObjectOwnership", 400, s3.create_bucket, **call)

    def test_controls(self, s3, bucket):
        rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
        assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules
        assert status(s3.delete_bucket_ownership_controls(Bucket=bucket)) == 204
        refused("OwnershipControlsNotFoundError", 404, s3.get_bucket_ownership_controls, Bucket=bucket)

    def test_no_enforcing_over_a_public_list(self, s3, writer_bucket):
        s3.put_bucket_acl(Bucket=writer_bucket, ACL="public-read")
        rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        call = s3.put_bucket_ownership_controls
        refused("InvalidBucketAclWithObjectOwnership", 400, call, Bucket=writer_bucket, OwnershipControls=rules)


class TestObjectWriter:
    @pytest.mark.parametrize(
        ("canned", "more"),
        [
            ("private", []),
            ("public-read", [(EVERYBODY, "READ")]),
            ("public-read-write", [(EVERYBODY, "READ"), (EVERYBODY, "WRITE")]),
            ("authenticated-read", [(SIGNED, "READ")]),
        ],
    )
    def test_canned(self, s3, writer_bucket, canned, more):
        s3.put_bucket_acl(Bucket=writer_bucket, ACL=canned)
        assert grants(s3.get_bucket_acl(Bucket=writer_bucket)) == sorted([(OWNER[2], "FULL_CONTROL"), *more])
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", ACL=canned)
        assert grants(s3.get_object_acl(Bucket=writer_bucket, Key="k")) == sorted([(OWNER[2], "FULL_CONTROL"), *more])

    def test_bad_canned(self, writer_bucket):
        answer = send("PUT", f"/{writer_bucket}?acl", headers={"x-amz-acl": "friends-only"})
        assert (answer.status, answer.code) == (400, "InvalidArgument"), answer

    def test_anonymous_reads_what_is_public(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="open", Body=b"open", ACL="public-read")
        s3.put_object(Bucket=writer_bucket, Key="closed", Body=b"closed")
        assert send("GET", f"/{writer_bucket}/open", who=None).body == b"open"
        assert send("GET", f"/{writer_bucket}/closed", who=None).status == 403
        assert send("GET", f"/{writer_bucket}", who=None).status == 403
        s3.put_bucket_acl(Bucket=writer_bucket, ACL="public-read")
        assert "<Key>open</Key>" in send("GET", f"/{writer_bucket}", who=None).text
        assert send("PUT", f"/{writer_bucket}/new", b"x", who=None).status == 403

    def test_somebody_elses_object_is_theirs(self, s3, other, writer_bucket):
        s3.put_bucket_acl(Bucket=writer_bucket, ACL="public-read-write")
        other.put_object(Bucket=writer_bucket, Key="theirs", Body=b"x")
        assert other.get_object_acl(Bucket=writer_bucket, Key="theirs")["Owner"]["ID"] == OTHER[2]
        refused("AccessDenied", 403, s3.get_object, Bucket=writer_bucket, Key="theirs")
        other.put_object(Bucket=writer_bucket, Key="shared", Body=b"y", ACL="bucket-owner-full-control")
        assert read(s3, writer_bucket, "shared") == b"y"

    def test_grants_in_headers(self, s3, other, third, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", GrantRead=f"id={OTHER[2]}")
        assert read(other, writer_bucket, "k") == b"x"
        refused("AccessDenied", 403, third.get_object, Bucket=writer_bucket, Key="k")
        assert grants(s3.get_object_acl(Bucket=writer_bucket, Key="k")) == [(OTHER[2], "READ")]

    def test_grants_in_xml(self, s3, other, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x")
        acl = s3.get_object_acl(Bucket=writer_bucket, Key="k")
        grantee = {"Type": "CanonicalUser", "ID": OTHER[2]}
        policy = {"Owner": acl["Owner"], "Grants": [*acl["Grants"], {"Grantee": grantee, "Permission": "READ_ACP"}]}
        s3.put_object_acl(Bucket=writer_bucket, Key="k", AccessControlPolicy=policy)
        assert len(other.get_object_acl(Bucket=writer_bucket, Key="k")["Grants"]) == 2
        refused("AccessDenied", 403, other.get_object, Bucket=writer_bucket, Key="k")
        refused("AccessDenied", 403, other.put_object_acl, Bucket=writer_bucket, Key="k", ACL="private")

    def test_unknown_grantees(self, s3, writer_bucket):
        call = s3.put_bucket_acl
        refused("InvalidArgument", 400, call, Bucket=writer_bucket, GrantRead="id=nobody")
        code = "UnresolvableGrantByEmailAddress"
        refused(code, 400, call, Bucket=writer_bucket, GrantRead="emailAddress=nobody@example.com")

    def test_blocked(self, s3, writer_bucket):
        flags = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
        )
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", ACL="public-read")
        flags["IgnorePublicAcls"] = True
        s3.put_public_access_block(Bucket=writer_bucket, PublicAccessBlockConfiguration=flags)
        assert send("GET", f"/{writer_bucket}/k", who=None).status == 403
        flags.update(IgnorePublicAcls=False, BlockPublicAcls=True)
        s3.put_public_access_block(Bucket=writer_bucket, PublicAccessBlockConfiguration=flags)
        assert send("GET", f"/{writer_bucket}/k", who=None).status == 200
        refused("AccessDenied", 403, s3.put_bucket_acl, Bucket=writer_bucket, ACL="public-read")
        refused("AccessDenied", 403, s3.put_object, Bucket=writer_bucket, Key="k", Body=b"x", ACL="public-read")

    def test_a_new_version_has_no_grants_of_the_old(self, s3, writer_bucket):
        s3.put_object(Bucket=writer_bucket, Key="k", Body=b"x", ACL="public-read")
        s3.copy_object(Bucket=writer_bucket, Key="copy", CopySource={"Bucket": writer_bucket, "Key": "k"})
        assert send("GET", f"/{writer_bucket}/copy", who=None).status == 403
        assert refused_any(s3.get_object_acl, {"NoSuchKey"}, Bucket=writer_bucket, Key="absent") == 404
