//! Requests as clients send them, through the whole room.

use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use time::macros::format_description;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::config::{AirflowRole, Durability};
use crate::db::Db;
use crate::objects;

pub(super) struct Place {
    _folder: TempDir,
    s3: S3,
}

fn identity() -> Identity {
    Identity {
        access_key_id: "AKIDKNOWN".to_owned(),
        secret_access_key: "secret".to_owned(),
        arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
        canonical_id: "alice-id".to_owned(),
        display_name: "alice".to_owned(),
        airflow_role: AirflowRole::Admin,
    }
}

async fn place_with(auth: Auth) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(Timestamp::from_millis(1_767_323_045_678));
    let file = folder.path().join("db");
    let db = Db::open(&file, Durability::Process, &[objects::SCHEMA], clock.clone()).unwrap();
    let objects = Objects::open(&folder.path().join("objects"), db, clock).await.unwrap();
    let account = AccountId::parse("123456789012").unwrap();
    let region = Region::parse("eu-west-1").unwrap();
    Place { _folder: folder, s3: S3::new(objects, account, region, vec![identity()], auth) }
}

pub(super) async fn place() -> Place {
    let place = place_with(Auth::Lenient).await;
    assert_eq!(place.send("PUT", "/things", &[], "").await.status, StatusCode::OK);
    place
}

async fn versioned() -> Place {
    let place = place().await;
    let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(place.send("PUT", "/things?versioning", &[], body).await.status, StatusCode::OK);
    place
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> &str {
        between(self.text(), "<Code>", "</Code>")
    }
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let Some((_, rest)) = text.split_once(from) else { return "" };
    rest.split_once(to).map_or("", |(inside, _)| inside)
}

impl Place {
    /// Sends a request signed with a key that nobody knows.
    #[expect(clippy::too_many_arguments, reason = "a request has four parts")]
    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let body = body.into();
        let mut request = http::Request::builder()
            .method(method)
            .uri(target)
            .header("host", "127.0.0.1:5055")
            .header("authorization", "AWS nobody:c2lnbmVk");
        if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers {
            request =
                request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        self.call(request.body(Body::from(body)).unwrap()).await
    }

    async fn call(&self, request: Request) -> Answer {
        let (head, body) = self.s3.call(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }
}

fn signed(method: &str, target: &str, (secret, sha256): (&str, &str), body: &[u8]) -> Request {
    let now = Clock::system().now().to_utc();
    let long = format_description!("[year][month][day]T[hour][minute][second]Z");
    let stamp = now.format(&long).unwrap();
    let day = &stamp[..8];
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{target}\n\nhost:127.0.0.1\nx-amz-content-sha256:{sha256}\nx-amz-date:{stamp}\n\n{names}\n{sha256}"
    );
    let scope = format!("{day}/eu-west-1/s3/aws4_request");
    let hashed = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}");
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = ["eu-west-1", "s3", "aws4_request"]
        .iter()
        .fold(mac(format!("AWS4{secret}").as_bytes(), day), |key, part| mac(&key, part));
    let signature = hex::encode(mac(&key, &to_sign));
    http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1")
        .header("x-amz-date", stamp)
        .header("x-amz-content-sha256", sha256)
        .header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDKNOWN/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        )
        .body(Body::from(body.to_vec()))
        .unwrap()
}

fn sha256_of(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

#[tokio::test]
async fn a_signature_of_ours_is_verified_and_its_body_too() {
    let place = place().await;
    let with_length = |mut request: Request, length: usize| {
        request.headers_mut().insert("content-length", length.into());
        request
    };
    let hash = sha256_of(b"hello");
    let good = signed("PUT", "/things/a%20key", ("secret", &hash), b"hello");
    let answer = place.call(with_length(good, 5)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let read = signed("GET", "/things/a%20key", ("secret", &sha256_of(b"")), b"");
    assert_eq!(place.call(read).await.body, b"hello");
    let forged = signed("PUT", "/things/key", ("guess", &hash), b"hello");
    assert_eq!(place.call(with_length(forged, 5)).await.code(), "SignatureDoesNotMatch");
    let changed = signed("PUT", "/things/key", ("secret", &hash), b"jello");
    assert_eq!(place.call(with_length(changed, 5)).await.code(), "XAmzContentSHA256Mismatch");
}

#[tokio::test]
async fn a_verified_chunked_body_is_decoded_and_its_trailer_compared() {
    let place = place().await;
    for (crc, code) in [("NhCmhg==", ""), ("AAAAAA==", "BadDigest")] {
        let framed = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
        let kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        let mut request = signed("PUT", "/things/key", ("secret", kind), framed.as_bytes());
        for (name, value) in [
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-decoded-content-length", "5"),
            ("content-encoding", "aws-chunked"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = place.call(request).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
    }
    let head = place.send("HEAD", "/things/key", &[("x-amz-checksum-mode", "ENABLED")], "").await;
    assert_eq!(head.header("x-amz-checksum-crc32"), "NhCmhg==");
    assert_eq!((head.header("content-length"), head.header("content-encoding")), ("5", ""));
}

#[tokio::test]
async fn who_is_not_known_is_refused_in_the_strict_mode_and_who_does_not_sign_always() {
    let strict = place_with(Auth::Strict).await;
    let answer = strict.send("GET", "/", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "InvalidAccessKeyId"));
    let unsigned = || http::Request::builder().uri("/").body(Body::empty()).unwrap();
    for place in [strict, place().await] {
        let answer = place.call(unsigned()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"));
    }
}

#[tokio::test]
async fn an_unverifiable_chunked_body_is_decoded_too() {
    let place = place().await;
    let headers = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("content-encoding", "gzip, aws-chunked"),
        ("transfer-encoding", "chunked"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let framed = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n";
    let put = place.send("PUT", "/things/key", &headers, framed).await;
    assert_eq!(put.header("x-amz-checksum-crc32"), "NhCmhg==", "{}", put.text());
    let got = place.send("GET", "/things/key", &[], "").await;
    assert_eq!((got.text(), got.header("content-encoding")), ("hello", "gzip"));
    let bad = framed.replace("NhCmhg", "AAAAAA");
    assert_eq!(place.send("PUT", "/things/bad", &headers, bad).await.code(), "BadDigest");
    assert_eq!(place.send("HEAD", "/things/bad", &[], "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_error_names_its_resource_and_the_id_in_its_header() {
    let place = place().await;
    let answer = place.send("GET", "/things/no%20such%3Ckey", &[], "").await;
    let id = answer.header("x-amz-request-id");
    let host = answer.header("x-amz-id-2");
    let text = answer.text().replace(id, "ID").replace(host, "HOST");
    insta::assert_snapshot!(text, @r#"
    <?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Resource>/things/no%20such%3Ckey</Resource><RequestId>ID</RequestId><HostId>HOST</HostId></Error>
    "#);
    assert_eq!((answer.status.as_u16(), answer.header("server")), (404, "AmazonS3"));
    let missing = place.send("HEAD", "/nowhere", &[], "").await;
    assert_eq!((missing.status.as_u16(), missing.body.len()), (404, 0));
    assert_eq!(place.send("GET", "/things/k?torrent", &[], "").await.code(), "NotImplemented");
}

#[tokio::test]
async fn what_is_put_comes_back_with_its_headers() {
    let place = place().await;
    let given = [
        ("content-type", "text/x-python"),
        ("expires", "not a date"),
        ("x-amz-meta-Name", "Grüße"),
        ("cache-control", "no-cache"),
        ("x-amz-tagging", "a=b&c=d"),
    ];
    let put = place.send("PUT", "/things/dags/etl.py", &given, "print()").await;
    let md5 = hex::encode(md5::Md5::digest(b"print()"));
    assert_eq!(put.header("etag"), format!("\"{md5}\""));
    assert_eq!(put.header("x-amz-version-id"), "");
    let got = place.send("GET", "/things/dags/etl.py", &[], "").await;
    assert_eq!(got.text(), "print()");
    assert_eq!(got.header("content-type"), "text/x-python");
    assert_eq!(got.header("expires"), "not a date");
    assert_eq!(got.headers["x-amz-meta-name"].as_bytes(), "Grüße".as_bytes());
    assert_eq!(got.header("x-amz-tagging-count"), "2");
    assert_eq!(got.header("last-modified"), "Fri, 02 Jan 2026 03:04:05 GMT");
    let as_text = "/things/dags/etl.py?response-content-type=text%2Fplain";
    assert_eq!(place.send("GET", as_text, &[], "").await.header("content-type"), "text/plain");
}

#[tokio::test]
async fn ranges_and_conditions_answer_as_http_has_it() {
    let place = place().await;
    let put = place.send("PUT", "/things/key", &[], "0123456789").await;
    let etag = put.header("etag").to_owned();
    let same = "Fri, 02 Jan 2026 03:04:05 GMT";
    for (name, value, status, body) in [
        ("range", "bytes=2-4", 206, "234"),
        ("range", "bytes=-3", 206, "789"),
        ("range", "bytes=7-100", 206, "789"),
        ("range", "bytes=1-2,4-5", 200, "0123456789"),
        ("range", "nonsense", 200, "0123456789"),
        ("if-match", etag.as_str(), 200, "0123456789"),
        ("if-match", "\"other\"", 412, ""),
        ("if-none-match", etag.as_str(), 304, ""),
        ("if-modified-since", same, 304, ""),
        // A moment to come says nothing.
        ("if-modified-since", "Fri, 02 Jan 2099 03:04:05 GMT", 200, "0123456789"),
        ("if-modified-since", "whenever", 200, "0123456789"),
    ] {
        let answer = place.send("GET", "/things/key", &[(name, value)], "").await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        if status < 300 {
            assert_eq!(answer.text(), body, "{name}: {value}");
        }
        if status == 304 {
            assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0));
        }
    }
    let behind = place.send("GET", "/things/key", &[("range", "bytes=10-")], "").await;
    assert_eq!((behind.status.as_u16(), behind.code()), (416, "InvalidRange"));
    let created = [("if-none-match", "*")];
    assert_eq!(place.send("PUT", "/things/key", &created, "x").await.status.as_u16(), 412);
    assert_eq!(place.send("PUT", "/things/new", &created, "x").await.status.as_u16(), 200);
    let replaced = [("if-match", "*")];
    assert_eq!(place.send("PUT", "/things/none", &replaced, "x").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn damaged_bodies_are_refused() {
    let place = place().await;
    let wrong = STANDARD.encode([0; 16]);
    for (name, value, code) in [
        ("content-md5", wrong.as_str(), "BadDigest"),
        ("content-md5", "", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "bad", "InvalidRequest"),
    ] {
        let answer = place.send("PUT", "/things/key", &[(name, value)], "hello").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, code), "{name}: {value}");
    }
    let mut short = http::Request::put("/things/key").body(Body::from("hel")).unwrap();
    short.headers_mut().insert("content-length", 5.into());
    short.headers_mut().insert("authorization", "AWS nobody:c2lnbmVk".parse().unwrap());
    assert_eq!(place.call(short).await.code(), "IncompleteBody");
    assert_eq!(place.send("HEAD", "/things/key", &[], "").await.status.as_u16(), 404);
}

#[tokio::test]
async fn versions_are_kept_hidden_and_brought_back() {
    let place = versioned().await;
    let first = place.send("PUT", "/things/key", &[], "first").await;
    let first = first.header("x-amz-version-id").to_owned();
    assert_eq!(first.len(), 32);
    place.send("PUT", "/things/key", &[], "second").await;
    let deleted = place.send("DELETE", "/things/key", &[], "").await;
    let marker = deleted.header("x-amz-version-id").to_owned();
    assert_eq!((deleted.status.as_u16(), deleted.header("x-amz-delete-marker")), (204, "true"));
    let gone = place.send("GET", "/things/key", &[], "").await;
    assert_eq!((gone.code(), gone.header("x-amz-delete-marker")), ("NoSuchKey", "true"));
    let looked = place.send("GET", &format!("/things/key?versionId={marker}"), &[], "").await;
    assert_eq!((looked.status.as_u16(), looked.header("allow")), (405, "DELETE"));
    let old = place.send("GET", &format!("/things/key?versionId={first}"), &[], "").await;
    assert_eq!((old.text(), old.header("x-amz-version-id")), ("first", first.as_str()));
    let unknown = format!("/things/key?versionId={}", "0".repeat(32));
    assert_eq!(place.send("GET", &unknown, &[], "").await.code(), "NoSuchVersion");
    let bad = place.send("GET", "/things/key?versionId=x", &[], "").await;
    assert_eq!((bad.status.as_u16(), bad.code()), (400, "InvalidArgument"));
    let source = format!("/things/key?versionId={first}");
    let copy = place.send("PUT", "/things/key", &[("x-amz-copy-source", &source)], "").await;
    assert_eq!(copy.header("x-amz-copy-source-version-id"), first, "{}", copy.text());
    assert_eq!(place.send("GET", "/things/key", &[], "").await.text(), "first");
    assert_eq!(place.send("DELETE", "/things", &[], "").await.code(), "BucketNotEmpty");
}

#[tokio::test]
async fn listings_are_as_s3_writes_them() {
    let place = versioned().await;
    for key in ["a", "dags/one.py", "dags/two%2Bthree.py", "z%01"] {
        place.send("PUT", &format!("/things/{key}"), &[], "x").await;
    }
    place.send("DELETE", "/things/a", &[], "").await;
    let v2 = "/things?list-type=2&delimiter=%2F&max-keys=1";
    let page = place.send("GET", v2, &[], "").await;
    insta::assert_snapshot!(page.text(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>things</Name><Prefix></Prefix><NextContinuationToken>ZGFncy8</NextContinuationToken><KeyCount>1</KeyCount><MaxKeys>1</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>dags/</Prefix></CommonPrefixes></ListBucketResult>
    "#);
    let token = between(page.text(), "<NextContinuationToken>", "<");
    let next = place.send("GET", &format!("{v2}&continuation-token={token}"), &[], "").await;
    assert_eq!(between(next.text(), "<Key>", "</Key>"), "z&#x1;");
    let encoded = "/things?prefix=dags%2Ft&encoding-type=url";
    let v1 = place.send("GET", encoded, &[], "").await;
    insta::assert_snapshot!(v1.text(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>things</Name><Prefix>dags/t</Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Contents><Key>dags/two%2Bthree.py</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>1</Size><StorageClass>STANDARD</StorageClass><Owner><ID>alice-id</ID><DisplayName>alice</DisplayName></Owner></Contents></ListBucketResult>
    "#);
    let versions = place.send("GET", "/things?versions&max-keys=1", &[], "").await;
    assert_eq!(between(versions.text(), "<DeleteMarker>", "</Key>"), "<Key>a");
    let id = between(versions.text(), "<NextVersionIdMarker>", "<");
    let next = format!("/things?versions&max-keys=1&key-marker=a&version-id-marker={id}");
    let next = place.send("GET", &next, &[], "").await;
    assert_eq!(between(next.text(), "<Version>", "</Key>"), "<Key>a");
    for (query, code) in [
        ("max-keys=-1", "InvalidArgument"),
        ("list-type=2&continuation-token=%21", "InvalidArgument"),
        ("versions&version-id-marker=x", "InvalidArgument"),
        ("encoding-type=xml", "InvalidArgument"),
    ] {
        let answer = place.send("GET", &format!("/things?{query}"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, code), "{query}");
    }
}

#[tokio::test]
async fn many_keys_are_deleted_at_once() {
    let place = versioned().await;
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>?</VersionId></Object></Delete>";
    let answer = place.send("POST", "/things?delete", &[], body).await;
    assert_eq!(between(answer.text(), "<DeleteMarker>", "<"), "true", "{}", answer.text());
    assert_eq!(between(answer.text(), "<Code>", "<"), "InvalidArgument");
    let many = format!("<Delete>{}</Delete>", "<Object><Key>a</Key></Object>".repeat(1001));
    assert_eq!(place.send("POST", "/things?delete", &[], many).await.code(), "MalformedXML");
    let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
    assert_eq!(place.send("POST", "/things?delete", &wrong, body).await.code(), "BadDigest");
}

#[tokio::test]
async fn an_upload_in_parts_has_s3s_etag_and_checksum() {
    let place = versioned().await;
    let begun = [("x-amz-checksum-algorithm", "CRC32"), ("content-type", "a/b")];
    let created = place.send("POST", "/things/big?uploads", &begun, "").await;
    let id = between(created.text(), "<UploadId>", "<").to_owned();
    assert_eq!(created.header("x-amz-checksum-type"), "COMPOSITE", "{}", created.text());
    let mut list = String::new();
    for (number, bytes) in [(1, vec![b'a'; 5 << 20]), (2, b"end".to_vec())] {
        let target = format!("/things/big?partNumber={number}&uploadId={id}");
        let part = place.send("PUT", &target, &[], bytes).await;
        let etag = part.header("etag");
        let part = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        list.push_str(&part);
    }
    let parts = place.send("GET", &format!("/things/big?uploadId={id}"), &[], "").await;
    assert_eq!(parts.text().matches("<Part>").count(), 2, "{}", parts.text());
    let uploads = place.send("GET", "/things?uploads", &[], "").await;
    assert_eq!(between(uploads.text(), "<UploadId>", "<"), id);
    let target = format!("/things/big?uploadId={id}");
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let first = place.send("POST", &target, &[], body.clone()).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    assert!(between(first.text(), "<ChecksumCRC32>", "<").ends_with("-2"), "{}", first.text());
    let again = place.send("POST", &target, &[], body).await;
    assert_eq!(again.text(), first.text());
    let part = place.send("GET", "/things/big?partNumber=2", &[], "").await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "end"));
    assert_eq!((part.header("x-amz-mp-parts-count"), part.header("content-type")), ("2", "a/b"));
    let asked = [("x-amz-object-attributes", "ETag,ObjectParts,ObjectSize")];
    let about = place.send("GET", "/things/big?attributes", &asked, "").await;
    assert_eq!(between(about.text(), "<PartsCount>", "<"), "2", "{}", about.text());
    assert_eq!(place.send("DELETE", &target, &[], "").await.code(), "NoSuchUpload");
    assert_eq!(place.send("POST", &target, &[], "").await.code(), "MalformedXML");
}

#[tokio::test]
async fn buckets_are_made_described_and_listed() {
    let place = place().await;
    let again = place.send("PUT", "/things", &[], "").await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "BucketAlreadyOwnedByYou"));
    assert_eq!(place.send("PUT", "/Bad_Name", &[], "").await.code(), "InvalidBucketName");
    let classic = "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>";
    let refused = place.send("PUT", "/home-bucket", &[], classic).await;
    assert_eq!(refused.code(), "InvalidLocationConstraint");
    let home = classic.replace("us-east-1", "us-west-2");
    let made = place.send("PUT", "/home-bucket", &[], home).await;
    assert_eq!(made.header("location"), "/home-bucket", "{}", made.text());
    let head = place.send("HEAD", "/things", &[], "").await;
    assert_eq!(head.header("x-amz-bucket-region"), "eu-west-1");
    let there = place.send("GET", "/things?location", &[], "").await;
    insta::assert_snapshot!(there.text(), @r#"<?xml version="1.0" encoding="UTF-8"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>"#);
    let home = place.send("GET", "/home-bucket?location", &[], "").await;
    insta::assert_snapshot!(home.text(), @r#"<?xml version="1.0" encoding="UTF-8"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-west-2</LocationConstraint>"#);
    let versioning = place.send("GET", "/things?versioning", &[], "").await;
    assert!(!versioning.text().contains("Status"), "{}", versioning.text());
    let all = place.send("GET", "/", &[], "").await;
    assert_eq!(all.text().matches("<Bucket>").count(), 2);
    assert_eq!(place.send("DELETE", "/things", &[], "").await.status.as_u16(), 204);
    assert_eq!(place.send("GET", "/things", &[], "").await.code(), "NoSuchBucket");
    let other = [("x-amz-expected-bucket-owner", "999999999999")];
    assert_eq!(place.send("HEAD", "/home-bucket", &other, "").await.status.as_u16(), 403);
}

#[tokio::test]
async fn a_bucket_may_be_in_the_host() {
    let place = place().await;
    place.send("PUT", "/things/key", &[], "hello").await;
    let request = http::Request::get("/key")
        .header("host", "things.s3.localhost:5055")
        .header("authorization", "AWS nobody:c2lnbmVk")
        .body(Body::empty())
        .unwrap();
    assert_eq!(place.call(request).await.text(), "hello");
}

// ---- what hangs on buckets and objects

impl Place {
    async fn put(&self, target: &str, body: &str) -> Answer {
        self.send("PUT", target, &[], body).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    /// Sends a request that nobody signed.
    async fn unsigned(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers.iter().chain(&[("host", "127.0.0.1:5055")]) {
            request = request.header(*name, *value);
        }
        self.call(request.body(Body::empty()).unwrap()).await
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), between(answer.text(), "<Code>", "</Code>"))
}

#[tokio::test]
async fn what_was_never_configured_answers_as_terraform_expects() {
    let place = place().await;
    for (name, status, wanted) in [
        ("policy", 404, "NoSuchBucketPolicy"),
        ("policyStatus", 404, "NoSuchBucketPolicy"),
        ("cors", 404, "NoSuchCORSConfiguration"),
        ("website", 404, "NoSuchWebsiteConfiguration"),
        ("lifecycle", 404, "NoSuchLifecycleConfiguration"),
        ("replication", 404, "ReplicationConfigurationNotFoundError"),
        ("object-lock", 404, "ObjectLockConfigurationNotFoundError"),
        ("tagging", 404, "NoSuchTagSet"),
        ("metrics&id=a", 404, "NoSuchConfiguration"),
    ] {
        let answer = place.get(&format!("/things?{name}")).await;
        assert_eq!(code(&answer), (status, wanted), "{name}");
    }
    for (name, wanted) in [
        ("encryption", "<SSEAlgorithm>AES256</SSEAlgorithm>"),
        ("publicAccessBlock", "<RestrictPublicBuckets>true</RestrictPublicBuckets>"),
        ("ownershipControls", "BucketOwnerEnforced"),
        ("versioning", "VersioningConfiguration"),
        ("accelerate", "AccelerateConfiguration"),
        ("logging", "BucketLoggingStatus"),
        ("notification", "NotificationConfiguration"),
        ("requestPayment", "<Payer>BucketOwner</Payer>"),
        ("acl", "<Permission>FULL_CONTROL</Permission>"),
        ("inventory", "<IsTruncated>false</IsTruncated>"),
    ] {
        let answer = place.get(&format!("/things?{name}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        assert!(answer.text().contains(wanted), "{name}: {}", answer.text());
    }
    for name in ["publicAccessBlock", "ownershipControls", "encryption"] {
        let gone = place.send("DELETE", &format!("/things?{name}"), &[], "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
    }
    let answer = place.get("/things?publicAccessBlock").await;
    assert_eq!(code(&answer), (404, "NoSuchPublicAccessBlockConfiguration"));
    let answer = place.get("/things?ownershipControls").await;
    assert_eq!(code(&answer), (404, "OwnershipControlsNotFoundError"));
    assert_eq!(place.get("/things?encryption").await.status, StatusCode::OK);
    assert_eq!(code(&place.get("/nothing?cors").await), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn tags_keep_their_order_and_their_limits() {
    let place = versioned().await;
    let headers = [("x-amz-tagging", "z=1&a=b%20c")];
    place.send("PUT", "/things/k", &headers, "x").await;
    let answer = place.get("/things/k?tagging").await;
    let set = "<Tag><Key>z</Key><Value>1</Value></Tag><Tag><Key>a</Key><Value>b c</Value></Tag>";
    assert!(answer.text().contains(set), "{}", answer.text());
    assert!(!answer.header("x-amz-version-id").is_empty());
    assert_eq!(place.get("/things/k").await.header("x-amz-tagging-count"), "2");
    let tag = |n: usize| format!("<Tag><Key>{n}</Key><Value/></Tag>");
    let tags = |count| {
        format!("<Tagging><TagSet>{}</TagSet></Tagging>", (0..count).map(tag).collect::<String>())
    };
    assert_eq!(code(&place.put("/things/k?tagging", &tags(11)).await), (400, "InvalidTag"));
    assert_eq!(place.put("/things/k?tagging", &tags(10)).await.status, StatusCode::OK);
    let gone = place.send("DELETE", "/things/k?tagging", &[], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert!(place.get("/things/k?tagging").await.text().contains("<TagSet></TagSet>"));
    assert_eq!(place.put("/things?tagging", &tags(50)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&place.put("/things?tagging", &tags(51)).await), (400, "InvalidTag"));
    assert_eq!(code(&place.get("/things/none?tagging").await), (404, "NoSuchKey"));
}

#[tokio::test]
async fn a_bucket_with_owner_enforced_takes_no_lists() {
    let place = place().await;
    let refused = (400, "AccessControlListNotSupported");
    for acl in ["public-read", "private"] {
        let headers = [("x-amz-acl", acl)];
        assert_eq!(code(&place.send("PUT", "/things?acl", &headers, "").await), refused);
        assert_eq!(code(&place.send("PUT", "/things/k", &headers, "x").await), refused);
    }
    let headers = [("x-amz-acl", "bucket-owner-full-control")];
    assert_eq!(place.send("PUT", "/things/k", &headers, "x").await.status, StatusCode::OK);
    let list = place.get("/things/k?acl").await;
    assert!(list.text().contains("xsi:type=\"CanonicalUser\""));
    let given = place.put("/things?acl", place.get("/things?acl").await.text()).await;
    assert_eq!(given.status, StatusCode::OK);
    assert_eq!(code(&place.unsigned("GET", "/things/k", &[]).await), (403, "AccessDenied"));
}

#[tokio::test]
async fn lists_and_policies_let_others_in_where_the_bucket_allows_them() {
    let place = place().await;
    let headers = [("x-amz-object-ownership", "ObjectWriter")];
    place.send("PUT", "/open", &headers, "").await;
    let headers = [("x-amz-acl", "public-read")];
    assert_eq!(place.send("PUT", "/open/k", &headers, "x").await.status, StatusCode::OK);
    assert_eq!(place.send("PUT", "/open/closed", &[], "x").await.status, StatusCode::OK);
    assert_eq!(place.unsigned("GET", "/open/k", &[]).await.text(), "x");
    assert_eq!(place.unsigned("GET", "/open/closed", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(place.unsigned("GET", "/open", &[]).await.status, StatusCode::FORBIDDEN);
    let override_it = "/open/k?response-content-type=a";
    assert_eq!(code(&place.unsigned("GET", override_it, &[]).await), (400, "InvalidRequest"));
    let policy = r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::things/*"}]}"#;
    assert_eq!(code(&place.put("/things?policy", policy).await), (403, "AccessDenied"));
    place.send("DELETE", "/things?publicAccessBlock", &[], "").await;
    assert_eq!(place.put("/things?policy", policy).await.status, StatusCode::NO_CONTENT);
    assert_eq!(place.get("/things?policy").await.text(), policy);
    place.put("/things/k", "y").await;
    assert_eq!(place.unsigned("GET", "/things/k", &[]).await.text(), "y");
    assert_eq!(
        place.unsigned("PUT", "/things/k", &[("content-length", "0")]).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(place.get("/things?policyStatus").await.text().contains("<IsPublic>true</IsPublic>"));
    assert_eq!(code(&place.put("/things?policy", "{").await), (400, "MalformedPolicy"));
}

#[tokio::test]
async fn what_is_locked_stays() {
    let place = place().await;
    let headers = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(place.send("PUT", "/vault", &headers, "").await.status, StatusCode::OK);
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    assert_eq!(code(&place.put("/vault?versioning", suspend).await), (409, "InvalidBucketState"));
    let default = |mode: &str, period: &str| {
        format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
             <DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule></ObjectLockConfiguration>"
        )
    };
    for (body, wanted) in [
        (default("GOVERNANCE", "<Days>0</Days>"), "InvalidRetentionPeriod"),
        (default("GOVERNANCE", "<Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (default("abc", "<Days>1</Days>"), "MalformedXML"),
    ] {
        assert_eq!(code(&place.put("/vault?object-lock", &body).await), (400, wanted));
    }
    let days = default("GOVERNANCE", "<Days>1</Days>");
    assert_eq!(place.put("/vault?object-lock", &days).await.status, StatusCode::OK);
    assert_eq!(code(&place.put("/things?object-lock", &days).await), (409, "InvalidBucketState"));
    let put = place.put("/vault/k", "x").await;
    let id = put.header("x-amz-version-id").to_owned();
    let head = place.send("HEAD", "/vault/k", &[], "").await;
    assert_eq!(head.header("x-amz-object-lock-mode"), "GOVERNANCE");
    assert_eq!(head.header("x-amz-object-lock-retain-until-date"), "2026-01-03T03:04:05.678Z");
    let version = format!("/vault/k?versionId={id}");
    assert_eq!(code(&place.send("DELETE", &version, &[], "").await), (403, "AccessDenied"));
    assert_eq!(place.send("DELETE", "/vault/k", &[], "").await.status, StatusCode::NO_CONTENT);
    let shorter = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2026-01-02T04:00:00Z</RetainUntilDate></Retention>";
    let retention = format!("/vault/k?retention&versionId={id}");
    assert_eq!(code(&place.put(&retention, shorter).await), (403, "AccessDenied"));
    let bypass = [("x-amz-bypass-governance-retention", "true")];
    assert_eq!(place.send("PUT", &retention, &bypass, shorter).await.status, StatusCode::OK);
    let hold = format!("/vault/k?legal-hold&versionId={id}");
    let on = "<LegalHold><Status>ON</Status></LegalHold>";
    assert_eq!(place.put(&hold, on).await.status, StatusCode::OK);
    assert_eq!(place.send("DELETE", &version, &bypass, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(place.put(&hold, &on.replace("ON", "OFF")).await.status, StatusCode::OK);
    assert_eq!(place.send("DELETE", &version, &bypass, "").await.status, StatusCode::NO_CONTENT);
    place.put("/things/k", "x").await;
    assert_eq!(code(&place.put("/things/k?legal-hold", on).await), (400, "InvalidRequest"));
}

#[tokio::test]
async fn web_pages_may_do_what_the_bucket_says() {
    let place = place().await;
    let asks = [("origin", "http://a.example.com"), ("access-control-request-method", "GET")];
    assert_eq!(place.unsigned("OPTIONS", "/things/k", &asks).await.status, StatusCode::FORBIDDEN);
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.example.com</AllowedOrigin>\
        <AllowedMethod>GET</AllowedMethod><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>";
    assert_eq!(place.put("/things?cors", rules).await.status, StatusCode::OK);
    let answer = place.unsigned("OPTIONS", "/things/k", &asks).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), "http://a.example.com");
    assert_eq!(place.unsigned("OPTIONS", "/things/k", &[]).await.status, StatusCode::BAD_REQUEST);
    // A page from elsewhere needs a signature that can be verified, whatever the rules let it read.
    for page in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), asks[0]] {
        let answer = place.send("GET", "/things/none", &[page], "").await;
        assert_eq!(answer.code(), "InvalidAccessKeyId", "{page:?}");
    }
    let near = [("origin", "http://localhost:3000")];
    assert_eq!(place.send("GET", "/things/none", &near, "").await.code(), "NoSuchKey");
    let answer = place.send("GET", "/things/none", &asks[..1], "").await;
    assert_eq!(answer.header("access-control-expose-headers"), "ETag");
    let answer = place.send("PUT", "/things/k", &asks[..1], "x").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    let bad = rules.replace("<AllowedMethod>GET", "<AllowedMethod>PATCH");
    assert_eq!(code(&place.put("/things?cors", &bad).await), (400, "InvalidRequest"));
}

#[tokio::test]
async fn lifecycle_rules_are_checked_and_named() {
    let place = place().await;
    let rule = |inside: &str| {
        format!("<LifecycleConfiguration><Rule>{inside}</Rule></LifecycleConfiguration>")
    };
    for (inside, wanted) in [
        (
            "<Prefix/><Status>enabled</Status><Expiration><Days>1</Days></Expiration>",
            "MalformedXML",
        ),
        (
            "<Prefix/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration>",
            "InvalidArgument",
        ),
        (
            "<Prefix/><Status>Enabled</Status><Expiration><Date>20200101</Date></Expiration>",
            "MalformedXML",
        ),
        (
            "<Prefix/><Status>Enabled</Status><Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>",
            "InvalidArgument",
        ),
        ("<Status>Enabled</Status><Expiration><Days>1</Days></Expiration>", "MalformedXML"),
        ("<Prefix/><Status>Enabled</Status>", "InvalidRequest"),
    ] {
        assert_eq!(
            code(&place.put("/things?lifecycle", &rule(inside)).await),
            (400, wanted),
            "{inside}"
        );
    }
    let good = rule(
        "<Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>",
    );
    let put = place.put("/things?lifecycle", &good).await;
    assert_eq!(put.status, StatusCode::OK);
    assert_eq!(
        put.header("x-amz-transition-default-minimum-object-size"),
        "all_storage_classes_128K"
    );
    let text = place.get("/things?lifecycle").await;
    assert!(text.text().contains("<Filter><Prefix>logs/</Prefix></Filter>"), "{}", text.text());
    assert_eq!(between(text.text(), "<ID>", "</ID>").len(), 48);
    let put = place.put("/things/logs/a", "x").await;
    let expiration = put.header("x-amz-expiration");
    assert!(
        expiration.starts_with("expiry-date=\"Sun, 04 Jan 2026 00:00:00 GMT\""),
        "{expiration}"
    );
    assert!(!place.put("/things/other", "x").await.headers.contains_key("x-amz-expiration"));
}

#[tokio::test]
async fn encryption_is_said_again_and_customer_keys_are_asked_for() {
    let place = place().await;
    assert_eq!(place.put("/things/k", "x").await.header("x-amz-server-side-encryption"), "AES256");
    let kms = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
    ];
    let put = place.send("PUT", "/things/kms", &kms, "x").await;
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "key-1");
    assert_eq!(
        code(&place.send("PUT", "/things/bad", &kms[1..], "x").await),
        (400, "InvalidArgument")
    );
    let key = STANDARD.encode([7; 32]);
    let md5 = STANDARD.encode(<md5::Md5 as md5::Digest>::digest([7; 32]));
    let mine = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", key.as_str()),
        ("x-amz-server-side-encryption-customer-key-md5", md5.as_str()),
    ];
    assert_eq!(
        code(&place.send("PUT", "/things/mine", &mine[..2], "x").await),
        (400, "InvalidArgument")
    );
    assert_eq!(place.send("PUT", "/things/mine", &mine, "x").await.status, StatusCode::OK);
    assert_eq!(code(&place.get("/things/mine").await), (400, "InvalidRequest"));
    let got = place.send("GET", "/things/mine", &mine, "").await;
    assert_eq!(
        (got.text(), got.header("x-amz-server-side-encryption-customer-key-md5")),
        ("x", md5.as_str())
    );
}

#[tokio::test]
async fn a_form_uploads_what_its_policy_allows() {
    let place = place().await;
    let policy = |conditions: &str| {
        STANDARD.encode(format!(
            r#"{{"expiration": "2027-01-01T00:00:00Z", "conditions": [{{"bucket": "things"}}, {conditions}]}}"#
        ))
    };
    let form = |fields: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body: String = fields.iter().map(part).collect::<Vec<_>>().concat();
        body + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n"
    };
    let send = async |body: String| {
        let request = http::Request::builder()
            .method("POST")
            .uri("/things")
            .header("host", "127.0.0.1:5055")
            .header("content-type", "multipart/form-data; boundary=b");
        place.call(request.body(Body::from(body)).unwrap()).await
    };
    let allowed = policy(
        r#"["starts-with", "$key", "in/"], ["content-length-range", 0, 5], ["eq", "$success_action_status", "201"]"#,
    );
    let mut fields = vec![
        ("key", "in/${filename}"),
        ("AWSAccessKeyId", "nobody"),
        ("Policy", allowed.as_str()),
        ("signature", "c2ln"),
        ("success_action_status", "201"),
    ];
    let answer = send(form(&fields)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert!(answer.text().contains("<Key>in/a.txt</Key>"));
    assert_eq!(place.get("/things/in/a.txt").await.text(), "hello");
    fields.push(("x-amz-meta-a", "b"));
    assert_eq!(code(&send(form(&fields)).await), (403, "AccessDenied"));
    fields.pop();
    fields[0].1 = "out/a";
    assert_eq!(code(&send(form(&fields)).await), (403, "AccessDenied"));
    fields[0].1 = "in/a";
    fields[1].1 = "AKIDKNOWN";
    assert_eq!(code(&send(form(&fields)).await), (403, "SignatureDoesNotMatch"));
    fields[1].1 = "nobody";
    let small = policy(
        r#"["starts-with", "$key", ""], ["content-length-range", 0, 4], ["eq", "$success_action_status", "201"]"#,
    );
    fields[2].1 = &small;
    assert_eq!(code(&send(form(&fields)).await), (400, "EntityTooLarge"));
    assert_eq!(code(&send(form(&[("key", "a")])).await), (403, "AccessDenied"));
    assert_eq!(code(&send(form(&fields[1..])).await), (400, "InvalidArgument"));
}
