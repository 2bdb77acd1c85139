//! An object in `aws-chunked` framing that is arbitrary. What is accepted is read back as it was declared.
#![no_main]

use axum::body::Body;
use libfuzzer_sys::fuzz_target;
use windtunnel_fuzz::{ask, signed};

fuzz_target!(|input: (u16, &[u8])| {
    let (size, bytes) = input;
    let put = signed("PUT", "/things/chunked")
        .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("x-amz-decoded-content-length", size)
        .header("content-encoding", "aws-chunked")
        .header("content-length", bytes.len());
    let answer = ask(put.body(Body::from(bytes.to_vec())).unwrap());
    if answer.status().is_success() {
        let there = ask(signed("HEAD", "/things/chunked").body(Body::empty()).unwrap());
        assert_eq!(there.headers()["content-length"], size.to_string().as_str());
    }
});
