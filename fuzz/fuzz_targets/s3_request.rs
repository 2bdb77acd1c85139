//! One request to S3 out of arbitrary bytes: any answer will do but a panic or an `InternalError`.
//!
//! The input is `METHOD TARGET`, lines `name: value`, an empty line, and the body. What `http` itself refuses never
//! gets past hyper either, and is left out.
#![no_main]

use std::sync::LazyLock;

use axum::body::Body;
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use windtunnel::api::s3::S3;
use windtunnel::clock::Clock;
use windtunnel::config::{AirflowRole, Auth, Durability, Identity};
use windtunnel::db::Db;
use windtunnel::id::{AccountId, Region};
use windtunnel::objects::{self, Objects};

struct Place {
    runtime: Runtime,
    s3: S3,
    _folder: tempfile::TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let file = folder.path().join("db");
    let db = Db::open(&file, Durability::Process, &[objects::SCHEMA], clock.clone()).unwrap();
    let store = Objects::open(&folder.path().join("objects"), db, clock);
    let store = runtime.block_on(store).unwrap();
    let identity = Identity {
        access_key_id: "AKIDKNOWN".to_owned(),
        secret_access_key: "secret".to_owned(),
        arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
        canonical_id: "alice-id".to_owned(),
        display_name: "alice".to_owned(),
        airflow_role: AirflowRole::Admin,
    };
    let account = AccountId::parse("123456789012").unwrap();
    let region = Region::parse("us-east-1").unwrap();
    let s3 = S3::new(store, account, region, vec![identity], Auth::Lenient);
    Place { runtime, s3, _folder: folder }
});

fn parsed(bytes: &[u8]) -> Option<Request<Body>> {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1:4570")
        .header("authorization", "AWS nobody:c2lnbmVk");
    let mut rest = lines.next().unwrap_or_default();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, more) = (&rest[..end], &rest[end + 1..]);
        rest = more;
        if line.is_empty() {
            break;
        }
        let at = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..at], line[at + 1..].trim_ascii());
    }
    request.header("content-length", rest.len()).body(Body::from(rest.to_vec())).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = parsed(bytes) else { return };
    let place = &*PLACE;
    let response = place.runtime.block_on(place.s3.call(request));
    assert_ne!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
});
