//! Who may come in at the AWS endpoint and the console.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Project, Windtunnel, finished, told};

/// One HTTP/1.1 exchange, byte by byte as written here: clients would not send these headers.
fn raw(address: &str, request: &str) -> String {
    let address = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("windtunnel listens");
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// An AWS CLI call with other keys than `env` exports; `None` when it succeeded.
fn refused_with(up: &Windtunnel<'_>, keys: (&str, &str), args: &[&str]) -> Option<String> {
    let mut command = up.client("aws");
    command.env("AWS_ACCESS_KEY_ID", keys.0).env("AWS_SECRET_ACCESS_KEY", keys.1).args(args);
    // For `aws sqs` the AWS CLI v1 knows addresses of its own, which only this option replaces.
    command.args(["--endpoint-url", &up.aws_endpoint()]);
    let output = finished(&mut command);
    (!output.status.success()).then(|| told(&output))
}

const CALLS: [&[&str]; 3] =
    [&["s3", "ls"], &["sqs", "list-queues"], &["mwaa", "list-environments"]];

#[test]
fn a_wrong_secret_of_a_known_key_is_refused() {
    let project = Project::empty("door");
    let up = project.up_without_airflow();
    let variables = up.variables();
    let key = &variables["AWS_ACCESS_KEY_ID"];
    for call in CALLS {
        let answer = refused_with(&up, (key, "not-the-secret"), call).expect("it is refused");
        assert!(answer.contains("Signature"), "{call:?}: {answer}");
    }
}

#[test]
fn unknown_keys_are_the_default_identity_unless_strict() {
    let stranger = ("AKIAIOSFODNN7EXAMPLE", "any-secret-at-all");
    let project = Project::empty("lenient");
    let up = project.up_without_airflow();
    for call in CALLS {
        assert_eq!(refused_with(&up, stranger, call), None);
    }
    drop(up);
    project.write("windtunnel.toml", "[aws]\nauth = \"strict\"\n");
    let up = project.up_without_airflow();
    for call in CALLS {
        let answer = refused_with(&up, stranger, call).expect("strict means strict");
        assert!(
            ["InvalidAccessKeyId", "UnrecognizedClient", "InvalidClientTokenId"]
                .iter()
                .any(|code| answer.contains(code)),
            "{call:?}: {answer}"
        );
    }
    up.aws(&["s3", "ls"]);
}

#[test]
fn a_foreign_host_or_origin_is_refused() {
    let project = Project::empty("door");
    let up = project.up_without_airflow();
    up.aws(&["s3", "mb", "s3://kept"]);
    let status = up.status();
    for door in ["aws_endpoint", "console"] {
        let address = status[door].as_str().expect("status has it");
        let host = address.trim_start_matches("http://");
        let rebound = raw(address, "GET / HTTP/1.1\nHost: evil.example\nConnection: close\n\n");
        assert!(matches!(status_of(&rebound), 400 | 403 | 421), "{door}: {rebound}");
        // What a page of some web site can make a browser send, to each service: S3 asks the bucket's CORS rules, and
        // without them for a signature that can be verified.
        for line in [
            "POST /console/v1/shutdown HTTP/1.1",
            "PUT /environments/mine HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/airflow/aws4_request, SignedHeaders=host, Signature=00",
            "POST / HTTP/1.1\nX-Amz-Target: AmazonSQS.CreateQueue",
            "PUT /drive-by HTTP/1.1",
            "PUT /kept/dags/evil.py HTTP/1.1\nAuthorization: AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        ] {
            let answer = raw(
                address,
                &format!(
                    "{line}\nHost: {host}\nOrigin: http://evil.example\nContent-Length: 0\nConnection: close\n\n"
                ),
            );
            let status = status_of(&answer);
            // S3 knows no such operation as a POST to a key.
            assert!((400..=403).contains(&status) || status == 501, "{door} {line}: {answer}");
        }
    }
    up.status();
    assert_eq!(up.aws(&["s3", "ls"]).lines().count(), 1, "no bucket was made");
    assert_eq!(up.aws(&["s3", "ls", "s3://kept"]), "", "no object was written");
}

#[test]
fn the_console_answers_holders_of_the_token_only() {
    let project = Project::empty("door");
    let up = project.up_without_airflow();
    let status = up.status();
    let address = status["console"].as_str().expect("status has it");
    let host = address.trim_start_matches("http://");
    for (verb, path) in [("GET", "status"), ("POST", "shutdown"), ("GET", "events")] {
        let request = format!(
            "{verb} /console/v1/{path} HTTP/1.1\nHost: {host}\nContent-Length: 0\nConnection: close\n\n"
        );
        let answer = raw(address, &request);
        assert!(matches!(status_of(&answer), 401 | 403), "{verb} {path}: {answer}");
    }
    let page = raw(address, &format!("GET / HTTP/1.1\nHost: {host}\nConnection: close\n\n"));
    assert_eq!(status_of(&page), 200, "{page}");
}

#[test]
fn only_the_owner_can_read_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::empty("door");
    let _up = project.up_without_airflow();
    let mut looked = 0;
    let secrets = ["instance.json", "identity.json", "ca-key.pem", "token.key", "windtunnel.db"];
    for name in secrets {
        for entry in walkdir::WalkDir::new(project.path(".windtunnel")).into_iter().flatten() {
            if entry.file_name() == name {
                let mode = entry.metadata().expect("it is there").permissions().mode();
                assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
                looked += 1;
            }
        }
    }
    assert_eq!(looked, secrets.len(), "the files with secrets were not found");
}

#[test]
fn a_host_prefix_changes_nothing() {
    let project = Project::empty("door");
    let up = project.up_without_airflow();
    let address = up.aws_endpoint();
    let port = address.rsplit(':').next().expect("it has a port");
    let script = format!(
        "import boto3, socket\n\
         look = socket.getaddrinfo\n\
         socket.getaddrinfo = lambda host, *more, **by: look('127.0.0.1' if str(host).endswith('localhost') else host, *more, **by)\n\
         client = boto3.client('mwaa', endpoint_url='http://localhost:{port}')\n\
         assert client.list_environments()['Environments'] == []\n"
    );
    let output = finished(
        up.client("python").env_remove("AWS_DISABLE_HOST_PREFIX_INJECTION").args(["-c", &script]),
    );
    assert!(output.status.success(), "{}", told(&output));
}
