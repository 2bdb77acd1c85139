"""ListObjects, ListObjectsV2 and ListObjectVersions."""

import pytest
from conftest import refused
from test_versioning import versions
from wire import OWNER, send

KEYS = ["a", "b/1", "b/2", "b/sub/3", "c", "d/x", "d/y", "e"]


@pytest.fixture
def full(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def shown(page):
    """Keys and common prefixes of one page."""
    return [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]


@pytest.mark.parametrize("call", ["list_objects", "list_objects_v2"])
class TestBoth:
    def test_everything(self, s3, full, call):
        page = getattr(s3, call)(Bucket=full)
        assert shown(page) == (KEYS, []) and page["IsTruncated"] is False and page["MaxKeys"] == 1000
        assert page["Name"] == full and page["Prefix"] == ""
        first = page["Contents"][0]
        assert (first["Size"], first["StorageClass"]) == (1, "STANDARD") and first["ETag"].startswith('"')

    @pytest.mark.parametrize(
        ("prefix", "keys"),
        [("b/", ["b/1", "b/2", "b/sub/3"]), ("b", ["b/1", "b/2", "b/sub/3"]), ("zzz", []), ("", KEYS), ("/", [])],
    )
    def test_prefix(self, s3, full, call, prefix, keys):
        page = getattr(s3, call)(Bucket=full, Prefix=prefix)
        assert shown(page) == (keys, []) and page["Prefix"] == prefix

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "keys", "prefixes"),
        [
            ("", "/", ["a", "c", "e"], ["b/", "d/"]),
            ("b/", "/", ["b/1", "b/2"], ["b/sub/"]),
            ("b", "/", [], ["b/"]),
            ("", "sub/", [k for k in KEYS if "sub" not in k], ["b/sub/"]),
            ("", "1", [k for k in KEYS if k != "b/1"], ["b/1"]),
            ("", "absent", KEYS, []),
            ("d/x", "/", ["d/x"], []),
        ],
    )
    def test_delimiter(self, s3, full, call, prefix, delimiter, keys, prefixes):
        page = getattr(s3, call)(Bucket=full, Prefix=prefix, Delimiter=delimiter)
        assert shown(page) == (keys, prefixes) and page["Delimiter"] == delimiter

    @pytest.mark.parametrize("delimiter", ["%", " ", "\n", "++", "ü"])
    def test_odd_delimiter(self, s3, bucket, call, delimiter):
        for key in (f"a{delimiter}1", f"a{delimiter}2", "b"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        page = getattr(s3, call)(Bucket=bucket, Delimiter=delimiter)
        assert shown(page) == (["b"], [f"a{delimiter}"])

    def test_empty_delimiter_is_none(self, s3, full, call):
        page = getattr(s3, call)(Bucket=full, Delimiter="")
        assert shown(page) == (KEYS, []) and "Delimiter" not in page

    def test_max_keys_of_nothing(self, s3, full, call):
        page = getattr(s3, call)(Bucket=full, MaxKeys=0)
        assert shown(page) == ([], []) and page["IsTruncated"] is False

    @pytest.mark.parametrize("bad", ["-1", "x", "1.5"])
    def test_max_keys_that_are_no_number(self, full, call, bad):
        kind = "list-type=2&" if call.endswith("v2") else ""
        answer = send("GET", f"/{full}?{kind}max-keys={bad}")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), answer

    def test_max_keys_has_a_limit(self, s3, full, call):
        assert getattr(s3, call)(Bucket=full, MaxKeys=5000)["MaxKeys"] == 1000

    def test_truncation_is_exact(self, s3, full, call):
        assert getattr(s3, call)(Bucket=full, MaxKeys=len(KEYS))["IsTruncated"] is False
        assert getattr(s3, call)(Bucket=full, MaxKeys=len(KEYS) - 1)["IsTruncated"] is True

    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    @pytest.mark.parametrize("delimiter", ["", "/"])
    def test_pages(self, s3, full, call, size, delimiter):
        more = {"Delimiter": delimiter} if delimiter else {}
        whole = getattr(s3, call)(Bucket=full, **more)
        pages = list(s3.get_paginator(call).paginate(Bucket=full, PaginationConfig={"PageSize": size}, **more))
        keys = [key for page in pages for key in shown(page)[0]]
        prefixes = [prefix for page in pages for prefix in shown(page)[1]]
        assert (keys, prefixes) == shown(whole)
        assert all(len(shown(p)[0]) + len(shown(p)[1]) == size for p in pages[:-1])

    def test_url_encoding(self, s3, bucket, call):
        keys = ["a+b", "c d", "e/f&g", "ü<", "%41"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert shown(getattr(s3, call)(Bucket=bucket))[0] == sorted(keys, key=str.encode)
        page = getattr(s3, call)(Bucket=bucket, EncodingType="url")
        assert sorted(shown(page)[0]) == sorted(["a%2Bb", "c%20d", "e/f%26g", "%C3%BC%3C", "%2541"])
        kind = "list-type=2&" if call.endswith("v2") else ""
        answer = send("GET", f"/{bucket}?{kind}encoding-type=zip")
        assert (answer.status, answer.code) == (400, "InvalidArgument")

    def test_bytewise_order(self, s3, bucket, call):
        keys = ["B", "a", "A", "ä", "z", "\U0001f600", "\ufb01", "a/", "a-", "a0"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert shown(getattr(s3, call)(Bucket=bucket))[0] == sorted(keys, key=str.encode)

    def test_missing_bucket(self, s3, call):
        refused("NoSuchBucket", 404, getattr(s3, call), Bucket="nobody-made-this-one")

    def test_anonymous(self, full, call):
        assert send("GET", f"/{full}{'?list-type=2' if call.endswith('v2') else ''}", who=None).status == 403

    def test_control_characters(self, bucket, call):
        assert send("PUT", f"/{bucket}/a%01b", b"").status == 200
        kind = "?list-type=2" if call.endswith("v2") else ""
        assert "a&#x1;b" in send("GET", f"/{bucket}{kind}").text

    def test_unordered_is_accepted(self, full, call):
        kind = "list-type=2&" if call.endswith("v2") else ""
        assert send("GET", f"/{full}?{kind}allow-unordered=true").status == 200
        answer = send("GET", f"/{full}?{kind}allow-unordered=true&delimiter=/")
        assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_v1_markers(s3, full):
    page = s3.list_objects(Bucket=full, MaxKeys=3)
    assert page["Marker"] == "" and page["IsTruncated"]
    page = s3.list_objects(Bucket=full, Marker="b/2")
    assert shown(page)[0] == KEYS[3:] and page["Marker"] == "b/2"
    assert shown(s3.list_objects(Bucket=full, Marker="bzz"))[0] == KEYS[4:]
    assert shown(s3.list_objects(Bucket=full, Marker="zzz"))[0] == []


def test_v1_next_marker_with_a_delimiter(s3, full):
    page = s3.list_objects(Bucket=full, Delimiter="/", MaxKeys=2)
    assert shown(page) == (["a"], ["b/"]) and page["NextMarker"] == "b/"
    page = s3.list_objects(Bucket=full, Delimiter="/", MaxKeys=2, Marker="b/")
    assert shown(page) == (["c"], ["d/"])


def test_v1_has_owners(s3, full):
    owner = s3.list_objects(Bucket=full)["Contents"][0]["Owner"]
    assert owner["ID"] == OWNER[2]


def test_v2_counts(s3, full):
    page = s3.list_objects_v2(Bucket=full, Delimiter="/")
    assert page["KeyCount"] == 5
    assert s3.list_objects_v2(Bucket=full, MaxKeys=0)["KeyCount"] == 0


def test_v2_start_after(s3, full):
    page = s3.list_objects_v2(Bucket=full, StartAfter="b/2")
    assert shown(page)[0] == KEYS[3:] and page["StartAfter"] == "b/2"
    assert shown(s3.list_objects_v2(Bucket=full, StartAfter="zzz"))[0] == []
    assert shown(s3.list_objects_v2(Bucket=full, StartAfter="b/", Delimiter="/"))[1] in (["b/", "d/"], ["d/"])


def test_v2_token_wins_over_start_after(s3, full):
    first = s3.list_objects_v2(Bucket=full, MaxKeys=2, StartAfter="a")
    token = first["NextContinuationToken"]
    second = s3.list_objects_v2(Bucket=full, StartAfter="a", ContinuationToken=token)
    assert shown(second)[0] == KEYS[3:] and second["ContinuationToken"] == token and second["StartAfter"] == "a"
    assert "NextContinuationToken" not in second


def test_v2_empty_and_bad_tokens(full):
    answer = send("GET", f"/{full}?list-type=2&continuation-token=")
    assert answer.status == 200 and answer.inside("ContinuationToken") == "", answer
    answer = send("GET", f"/{full}?list-type=2&continuation-token=%21%21garbage")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_v2_owner_on_demand(s3, full):
    assert "Owner" not in s3.list_objects_v2(Bucket=full)["Contents"][0]
    assert s3.list_objects_v2(Bucket=full, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == OWNER[2]


def test_checksum_algorithm_is_listed(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (["SHA256"], "FULL_OBJECT")


@pytest.fixture
def history(s3, versioned):
    """Three keys: two versions, a version under a marker, and one version in a folder."""
    for key in ("a", "a", "b", "f/x"):
        s3.put_object(Bucket=versioned, Key=key, Body=b"x")
    s3.delete_object(Bucket=versioned, Key="b")
    return versioned


def test_versions_are_interleaved(s3, history):
    listed = versions(s3, history)
    assert [(key, latest, marker) for key, _, latest, marker in listed] == [
        ("a", True, False),
        ("a", False, False),
        ("b", True, True),
        ("b", False, False),
        ("f/x", True, False),
    ]
    page = s3.list_object_versions(Bucket=history)
    assert page["KeyMarker"] == "" and page["VersionIdMarker"] == "" and page["MaxKeys"] == 1000
    assert page["Versions"][0]["Owner"]["ID"] == page["DeleteMarkers"][0]["Owner"]["ID"] == OWNER[2]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_versions_page(s3, history, size):
    whole, found, marker = versions(s3, history), [], {}
    while True:
        found += versions(s3, history, **{"max-keys": size}, **marker)
        query = "&".join(f"{n}={v}" for n, v in {"versions": "", "max-keys": size, **marker}.items())
        page = send("GET", f"/{history}?{query}")
        if page.inside("IsTruncated") == "false":
            break
        marker = {"key-marker": page.inside("NextKeyMarker"), "version-id-marker": page.inside("NextVersionIdMarker")}
        assert (marker["key-marker"], marker["version-id-marker"]) == found[-1][:2]
    assert found == whole


def test_versions_after_a_key(s3, history):
    assert [one[0] for one in versions(s3, history, **{"key-marker": "a"})] == ["b", "b", "f/x"]
    answer = send("GET", f"/{history}?versions&version-id-marker=abc")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert send("GET", f"/{history}?versions&version-id-marker=").status == 200


def test_versions_with_a_delimiter(s3, history):
    s3.delete_object(Bucket=history, Key="g/only-a-marker")
    page = s3.list_object_versions(Bucket=history, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["f/", "g/"]
    assert shown(s3.list_objects_v2(Bucket=history, Delimiter="/")) == (["a"], ["f/"])
    page = send("GET", f"/{history}?versions&delimiter=/&max-keys=5")
    assert page.inside("NextKeyMarker") == "f/" and not page.inside("NextVersionIdMarker")
    after = send("GET", f"/{history}?versions&delimiter=/&key-marker=f/")
    assert "<Prefix>g/</Prefix>" in after.text and "<Prefix>f/</Prefix>" not in after.text


def test_versions_with_a_prefix_and_bad_numbers(s3, history):
    assert [one[0] for one in versions(s3, history, prefix="a")] == ["a", "a"]
    answer = send("GET", f"/{history}?versions&max-keys=-1")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert versions(s3, history, **{"max-keys": 0}) == []


def test_versions_url_encoding(s3, versioned):
    s3.put_object(Bucket=versioned, Key="a+b c", Body=b"")
    assert s3.list_object_versions(Bucket=versioned)["Versions"][0]["Key"] == "a+b c"
    assert "<Key>a%2Bb%20c</Key>" in send("GET", f"/{versioned}?versions&encoding-type=url").text
