//! One request to S3 out of arbitrary bytes.
//!
//! The input is `METHOD TARGET`, lines `name: value`, an empty line, and the body. What `http` itself refuses never
//! gets past hyper either, and is left out.
#![no_main]

use axum::body::Body;
use http::Request;
use libfuzzer_sys::fuzz_target;
use windtunnel_fuzz::{ask, signed};

fn parsed(bytes: &[u8]) -> Option<Request<Body>> {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = signed(method, target);
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
    if let Some(request) = parsed(bytes) {
        ask(request);
    }
});
