//! The S3 endpoint on a store of its own, for requests made of arbitrary bytes.

use std::sync::LazyLock;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use windtunnel::api::s3::S3;
use windtunnel::clock::Clock;
use windtunnel::config::{AirflowRole, Auth, Durability, Identity};
use windtunnel::db::Db;
use windtunnel::id::{AccountId, BucketName, ObjectKey, Region};
use windtunnel::objects::{self, Metadata, Objects};

struct Place {
    runtime: Runtime,
    s3: S3,
    _folder: tempfile::TempDir,
}

/// One bucket, `things`, with versions, in which the key `key` is there.
static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let file = folder.path().join("db");
    let db = Db::open(&file, Durability::Process, &[objects::SCHEMA], clock.clone()).unwrap();
    let store = runtime.block_on(async {
        let store = Objects::open(&folder.path().join("objects"), db, clock).await.unwrap();
        let (bucket, key) = (BucketName::parse("things").unwrap(), ObjectKey::parse("key").unwrap());
        store.ensure_versioned_bucket(&bucket).await.unwrap();
        let bytes = "some bytes".into();
        store.put_bytes(&bucket, &key, bytes, Metadata::default()).await.unwrap();
        store
    });
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

/// Asks the endpoint. Any answer will do but a panic or a fault of ours.
pub fn ask(request: Request<Body>) -> Response<Body> {
    let place = &*PLACE;
    let response = place.runtime.block_on(place.s3.call(request));
    assert_ne!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// A request that is taken for the bucket owner's, for its access key is nobody's.
pub fn signed(method: &str, target: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1:4570")
        .header("authorization", "AWS nobody:c2lnbmVk")
}
