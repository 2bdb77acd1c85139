//! The S3 endpoint, as boto3 and the AWS CLI see it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{Project, done, finished, told};

/// A case of `clients/s3.py` against a windtunnel of its own.
fn boto3(case: &str) {
    let project = Project::empty("s3");
    project.up_without_airflow().python("s3.py", &[case]);
}

#[test]
fn buckets_are_made_versioned_and_deleted() {
    boto3("buckets");
}

#[test]
fn an_object_comes_back_as_it_was_put() {
    boto3("objects");
}

#[test]
fn a_key_is_a_name_and_never_a_path() {
    boto3("keys_are_not_paths");
}

#[test]
fn listings_have_prefixes_delimiters_and_pages() {
    boto3("listings");
}

#[test]
fn versions_are_ordered_fetched_by_id_and_restored() {
    boto3("versions");
}

#[test]
fn parts_become_one_object_when_the_upload_is_completed() {
    boto3("multipart");
}

#[test]
fn a_presigned_url_opens_what_it_was_signed_for() {
    boto3("presigned");
}

#[test]
fn a_damaged_body_is_not_kept() {
    boto3("damaged");
}

#[test]
fn the_aws_cli_copies_syncs_and_lists() {
    let project = Project::empty("cli");
    let up = project.up_without_airflow();
    // Above the CLI's threshold of 8 MB, so that it uploads in parts.
    let big: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    fs::create_dir_all(project.path("out")).expect("it is ours");
    fs::write(project.path("out/big.bin"), &big).expect("it is ours");
    project.write("out/sub/small.txt", "small");
    up.aws(&["s3", "mb", "s3://from-the-cli"]);
    up.aws(&["s3", "cp", "out/big.bin", "s3://from-the-cli/big.bin"]);
    up.aws(&["s3", "cp", "s3://from-the-cli/big.bin", "back.bin"]);
    assert!(fs::read(project.path("back.bin")).expect("the CLI wrote it") == big);
    up.aws(&["s3", "sync", "out", "s3://from-the-cli/copy"]);
    let listed = up.aws(&["s3", "ls", "--recursive", "s3://from-the-cli/copy/"]);
    assert!(listed.contains("copy/big.bin") && listed.contains("copy/sub/small.txt"), "{listed}");
    assert!(up.aws(&["s3", "sync", "out", "s3://from-the-cli/copy"]).is_empty());
    up.aws(&["s3", "rm", "--recursive", "s3://from-the-cli/copy"]);
    assert!(!up.aws(&["s3", "ls", "--recursive", "s3://from-the-cli"]).contains("copy/"));
}

#[test]
fn an_acknowledged_version_survives_kill_nine() {
    let project = Project::empty("killed");
    let up = project.up_without_airflow();
    let script = crate::support::repository().join("tests/clients/s3.py");
    let mut writer = up
        .client("python")
        .arg(&script)
        .args(["fill", "kept", "100000"])
        .env("AWS_MAX_ATTEMPTS", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let lines = BufReader::new(writer.stdout.take().expect("it was asked for")).lines();
    let mut acknowledged = Vec::new();
    let mut up = Some(up);
    for line in lines {
        acknowledged.push(line.expect("it prints text"));
        if acknowledged.len() == 150 {
            up.take().expect("killed once").kill_nine();
        }
    }
    assert!(up.is_none(), "the writer stopped by itself: {acknowledged:?}");
    assert!(writer.wait().expect("it is our child").success());
    fs::write(project.path("acknowledged"), acknowledged.join("\n")).expect("it is ours");

    let up = project.up_without_airflow();
    let list = fs::File::open(project.path("acknowledged")).expect("just written");
    let output = up
        .client("python")
        .arg(&script)
        .args(["kept", "kept"])
        .stdin(list)
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn an_unsigned_request_reads_nothing_private() {
    let project = Project::empty("unsigned");
    let up = project.up_without_airflow();
    up.aws(&["s3", "mb", "s3://private-bucket"]);
    let address = format!("{}/private-bucket/key", up.aws_endpoint());
    let read = "import urllib.request, sys; urllib.request.urlopen(sys.argv[1])";
    let output = finished(up.client("python").args(["-c", read, &address]));
    assert!(told(&output).contains("HTTP Error 403"), "{}", told(&output));
}

#[test]
fn https_and_http_share_the_port() {
    let project = Project::empty("tls");
    let up = project.up_without_airflow();
    let https = up.aws_endpoint().replace("http://127.0.0.1", "https://localhost");
    let listed = done(up.client("aws").args(["s3", "ls", "--endpoint-url", &https]));
    assert_eq!(listed, up.aws(&["s3", "ls"]));
}
