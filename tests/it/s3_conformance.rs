//! Everything that S3 promises, asked of one windtunnel by boto3 and by requests made by hand.
//!
//! The cases are in `tests/clients/s3_conformance`, a file per chapter. They make their own buckets, so they need no
//! order and no windtunnel of their own.

use crate::support::{Project, figure, finished, repository, told};

/// Three people, whom `s3_conformance/wire.py` knows by these keys.
const IDENTITIES: [(&str, &str, &str, char); 3] = [
    ("AKIAWTOWNER000000001", "owner-secret-0123456789012345678901234567", "owner", 'a'),
    ("AKIAWTOTHER000000002", "other-secret-0123456789012345678901234567", "other", 'b'),
    ("AKIAWTTHIRD000000003", "third-secret-0123456789012345678901234567", "third", 'c'),
];

#[test]
fn s3_does_what_amazon_s3_does() {
    let project = Project::empty("conformance");
    let identities = IDENTITIES.map(|(key, secret, name, letter)| {
        let canonical = letter.to_string().repeat(64);
        format!(
            "[[identity]]\naccess_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\n\
             display_name = \"{name}\"\ncanonical_id = \"{canonical}\"\n"
        )
    });
    project.write("windtunnel.toml", &identities.concat());
    let up = project.up_without_airflow();
    let suite = repository().join("tests/clients/s3_conformance");
    let options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"];
    let output = finished(up.client("python").args(options).arg(&suite));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    figure("S3 conformance", text.lines().last().unwrap_or_default());
    assert!(output.status.success(), "{}", told(&output));
    let said = up.output();
    assert!(!said.contains("panicked"), "{said}");
}
