//! A configuration, a list or a policy that is arbitrary. What is accepted can be asked for again.
#![no_main]

use axum::body::Body;
use libfuzzer_sys::fuzz_target;
use windtunnel_fuzz::{ask, signed};

/// What has a body of XML or JSON: method, target, and whether it can be asked for with GET.
const SUBJECTS: [(&str, &str, bool); 22] = [
    ("POST", "/things?delete", false),
    ("POST", "/things/key?uploadId=u", false),
    ("POST", "/things/key?restore", false),
    ("PUT", "/things/key?tagging", true),
    ("PUT", "/things/key?acl", true),
    ("PUT", "/things/key?retention", false),
    ("PUT", "/things/key?legal-hold", false),
    ("PUT", "/other", false),
    ("PUT", "/things?tagging", true),
    ("PUT", "/things?acl", true),
    ("PUT", "/things?policy", true),
    ("PUT", "/things?cors", true),
    ("PUT", "/things?lifecycle", true),
    ("PUT", "/things?encryption", true),
    ("PUT", "/things?versioning", true),
    ("PUT", "/things?publicAccessBlock", true),
    ("PUT", "/things?ownershipControls", true),
    ("PUT", "/things?object-lock", true),
    ("PUT", "/things?notification", true),
    ("PUT", "/things?website", true),
    ("PUT", "/things?logging", true),
    ("PUT", "/things?replication", true),
];

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let (method, target, readable) = SUBJECTS[usize::from(which) % SUBJECTS.len()];
    let put = signed(method, target).header("content-length", bytes.len());
    let answer = ask(put.body(Body::from(bytes.to_vec())).unwrap());
    if readable && answer.status().is_success() {
        let again = ask(signed("GET", target).body(Body::empty()).unwrap());
        // A policy may shut its own author out of everything but the policy.
        let shut = again.status() == http::StatusCode::FORBIDDEN;
        assert!(again.status().is_success() || shut, "{target}: {}", again.status());
    }
    if target.ends_with("?policy") {
        ask(signed("DELETE", target).body(Body::empty()).unwrap());
    }
});
