"""Versions, to the letter."""

import re
import threading

import pytest
from conftest import headers, read, refused, status
from wire import send


def versions(s3, bucket, **more):
    """(key, version id, is latest, is a marker), in the order of the XML."""
    from urllib.parse import quote

    query = "&".join(f"{n}={quote(str(v), safe='')}" for n, v in {"versions": "", **more}.items())
    text = send("GET", f"/{bucket}?{query}").text
    found = re.findall(r"<(Version|DeleteMarker)>(.*?)</\1>", text, re.DOTALL)

    def inside(name, xml):
        return re.search(f"<{name}>(.*?)</{name}>", xml)[1]

    return [
        (inside("Key", xml), inside("VersionId", xml), inside("IsLatest", xml) == "true", kind == "DeleteMarker")
        for kind, xml in found
    ]


def switch(s3, bucket, state):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})


def test_states(s3, bucket):
    answer = send("GET", f"/{bucket}?versioning")
    assert answer.status == 200 and "Status" not in answer.text and "VersioningConfiguration" in answer.text
    for state in ("Enabled", "Suspended", "Enabled"):
        switch(s3, bucket, state)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == state


@pytest.mark.parametrize("bad", ["Disabled", "enabled", ""])
def test_states_there_are_no_others(bucket, bad):
    body = f"<VersioningConfiguration><Status>{bad}</Status></VersioningConfiguration>".encode()
    answer = send("PUT", f"/{bucket}?versioning", body)
    assert (answer.status, answer.code) in [(400, "MalformedXML"), (400, "IllegalVersioningConfigurationException")]


def test_mfa_delete_is_ignored(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Disabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_never_versioned(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert "VersionId" not in put and "x-amz-version-id" not in headers(s3.get_object(Bucket=bucket, Key="k"))
    assert versions(s3, bucket) == [("k", "null", True, False)]
    assert read(s3, bucket, "k", VersionId="null") == b"2"
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert "DeleteMarker" not in gone and "VersionId" not in gone
    assert versions(s3, bucket) == []


def test_enabled_puts_make_versions(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())["VersionId"] for n in range(4)]
    assert len(set(ids)) == 4 and all(re.fullmatch(r"[A-Za-z0-9._~-]{1,1024}", one) for one in ids)
    assert versions(s3, versioned) == [("k", one, one == ids[-1], False) for one in reversed(ids)]
    for number, one in enumerate(ids):
        got = s3.get_object(Bucket=versioned, Key="k", VersionId=one)
        assert (got["VersionId"], got["Body"].read()) == (one, str(number).encode())
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == ids[-1]


def test_the_null_version_survives(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    switch(s3, bucket, "Enabled")
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"after")["VersionId"]
    assert versions(s3, bucket) == [("k", new, True, False), ("k", "null", False, False)]
    assert read(s3, bucket, "k", VersionId="null") == b"before"


def test_suspended_puts_replace_the_null_version(s3, suspended):
    old = versions(s3, suspended)[0][1]
    for body in (b"1", b"2"):
        put = send("PUT", f"/{suspended}/old", body)
        assert put.headers.get("x-amz-version-id", "null") == "null"
    assert versions(s3, suspended) == [("old", "null", True, False), ("old", old, False, False)]
    assert s3.get_object(Bucket=suspended, Key="old")["VersionId"] == "null"
    assert read(s3, suspended, "old", VersionId=old) == b"from the enabled days"


def test_suspended_deletes_make_null_markers(s3, suspended):
    old = versions(s3, suspended)[0][1]
    s3.put_object(Bucket=suspended, Key="old", Body=b"null")
    for _ in range(2):
        gone = s3.delete_object(Bucket=suspended, Key="old")
        assert gone["DeleteMarker"] is True and gone["VersionId"] == "null"
    assert versions(s3, suspended) == [("old", "null", True, True), ("old", old, False, False)]
    s3.put_object(Bucket=suspended, Key="old", Body=b"again")
    assert versions(s3, suspended) == [("old", "null", True, False), ("old", old, False, False)]


def test_enabled_again_keeps_the_order(s3, suspended):
    old = versions(s3, suspended)[0][1]
    s3.put_object(Bucket=suspended, Key="old", Body=b"null")
    switch(s3, suspended, "Enabled")
    new = s3.put_object(Bucket=suspended, Key="old", Body=b"new")["VersionId"]
    assert [one[1] for one in versions(s3, suspended)] == [new, "null", old]


def test_delete_makes_a_marker_always(s3, versioned):
    first = s3.delete_object(Bucket=versioned, Key="never there")
    second = s3.delete_object(Bucket=versioned, Key="never there")
    assert first["DeleteMarker"] is True and status(first) == 204 and first["VersionId"] != second["VersionId"]
    assert [one[3] for one in versions(s3, versioned)] == [True, True]


def test_reading_what_is_deleted(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    for method in ("GET", "HEAD"):
        answer = send(method, f"/{versioned}/k")
        assert answer.status == 404 and answer.headers["x-amz-delete-marker"] == "true"
        assert answer.headers["x-amz-version-id"] == marker
        answer = send(method, f"/{versioned}/k?versionId={marker}")
        assert answer.status == 405 and answer.headers["x-amz-delete-marker"] == "true"
        assert "DELETE" in answer.headers["allow"] and answer.headers["last-modified"]
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)


def test_delete_of_one_version(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])
    assert gone["VersionId"] == ids[2] and "DeleteMarker" not in gone
    assert read(s3, versioned, "k") == b"1"
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert gone["DeleteMarker"] is True and gone["VersionId"] == marker
    assert read(s3, versioned, "k") == b"1"
    # What is gone is gone again.
    assert status(s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])) == 204


def test_null_is_a_version_id(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    switch(s3, bucket, "Enabled")
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert len(versions(s3, bucket)) == 1


def test_unknown_and_malformed_ids(s3, versioned):
    mine = s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"]
    elsewhere = s3.put_object(Bucket=versioned, Key="other", Body=b"x")["VersionId"]
    refused("NoSuchVersion", 404, s3.get_object, Bucket=versioned, Key="k", VersionId=elsewhere)
    assert mine != elsewhere
    assert status(s3.delete_object(Bucket=versioned, Key="k", VersionId=elsewhere)) == 204
    assert read(s3, versioned, "other") == b"x"
    for bad in ("", "%20", "not/an+id%21"):
        answer = send("GET", f"/{versioned}/k?versionId={bad}")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), (bad, answer)


def test_delete_many_with_versions(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
    gone = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}]})["Deleted"]
    assert gone[0]["DeleteMarker"] is True
    marker = gone[0]["DeleteMarkerVersionId"]
    wanted = [{"Key": "k", "VersionId": one} for one in [*ids, marker]]
    gone = {one["VersionId"]: one for one in s3.delete_objects(Bucket=versioned, Delete={"Objects": wanted})["Deleted"]}
    assert set(gone) == {*ids, marker}
    assert gone[marker]["DeleteMarker"] is True and gone[marker]["DeleteMarkerVersionId"] == marker
    assert all("DeleteMarker" not in gone[one] for one in ids)
    assert versions(s3, versioned) == []


def test_five_deleters_of_the_same_versions_all_succeed(s3, versioned):
    wanted = []
    for number in range(15):
        put = s3.put_object(Bucket=versioned, Key=f"k{number % 5}", Body=b"x")
        wanted.append({"Key": f"k{number % 5}", "VersionId": put["VersionId"]})
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(s3.delete_objects(Bucket=versioned, Delete={"Objects": wanted}))
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(len(a["Deleted"]), "Errors" in a) for a in answers] == [(15, False)] * 5


def test_concurrent_puts_are_all_versions(s3, versioned):
    ids = []
    threads = [
        threading.Thread(
            target=lambda n=n: ids.append(s3.put_object(Bucket=versioned, Key="k", Body=b"%d" % n)["VersionId"])
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = versions(s3, versioned)
    assert sorted(one[1] for one in listed) == sorted(ids) and [one[2] for one in listed].count(True) == 1


def test_copy_restores_an_old_version(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old", Metadata={"a": "1"})["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"new")
    source = {"Bucket": versioned, "Key": "k", "VersionId": old}
    answer = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert answer["CopySourceVersionId"] == old and answer["VersionId"] != old
    got = s3.get_object(Bucket=versioned, Key="k")
    assert got["Body"].read() == b"old" and got["Metadata"] == {"a": "1"}
    assert len(versions(s3, versioned)) == 3


def test_copy_of_markers_and_unknown_versions(s3, versioned):
    put = s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    source = {"Bucket": versioned, "Key": "k"}
    refused("NoSuchKey", 404, s3.copy_object, Bucket=versioned, Key="to", CopySource=source)
    of_marker = {**source, "VersionId": marker}
    refused("InvalidRequest", 400, s3.copy_object, Bucket=versioned, Key="to", CopySource=of_marker)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=put)
    of_unknown = {**source, "VersionId": put}
    refused("NoSuchVersion", 404, s3.copy_object, Bucket=versioned, Key="to", CopySource=of_unknown)


def test_a_completed_upload_is_a_version(s3, versioned):
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"parts")["ETag"]
    between = s3.put_object(Bucket=versioned, Key="k", Body=b"between")["VersionId"]
    done = s3.complete_multipart_upload(
        Bucket=versioned, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]}
    )
    # The version is made when the upload is completed, so it is the newest.
    assert [one[1] for one in versions(s3, versioned)] == [done["VersionId"], between]


def test_attributes_of_a_version(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"newer")
    got = s3.get_object_attributes(Bucket=versioned, Key="k", VersionId=old, ObjectAttributes=["ObjectSize"])
    assert (got["ObjectSize"], got["VersionId"]) == (3, old)


def test_sub_resources_of_a_marker(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    refused("MethodNotAllowed", 405, s3.get_object_tagging, Bucket=versioned, Key="k", VersionId=marker)
    refused("MethodNotAllowed", 405, s3.get_object_acl, Bucket=versioned, Key="k", VersionId=marker)


def test_plain_404_says_that_it_is_no_marker(bucket):
    answer = send("HEAD", f"/{bucket}/absent")
    assert answer.headers.get("x-amz-delete-marker", "false") == "false"
