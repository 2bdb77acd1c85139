//! An upload by HTML form whose body, with the boundary `b`, is arbitrary.
#![no_main]

use axum::body::Body;
use http::Request;
use libfuzzer_sys::fuzz_target;
use windtunnel_fuzz::ask;

fuzz_target!(|bytes: &[u8]| {
    let request = Request::builder()
        .method("POST")
        .uri("/things")
        .header("host", "127.0.0.1:4570")
        .header("content-type", "multipart/form-data; boundary=b")
        .header("content-length", bytes.len());
    ask(request.body(Body::from(bytes.to_vec())).unwrap());
});
