//! `POST /aws_mwaa/cli`: one Airflow command, words and never a shell.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::failure::Refusal;
use super::words;
use super::{Request, Response, WebServer};
use crate::airflow::permitted;
use crate::api::wire::rest_json;
use crate::limits::{CLI_BODY_MAX_BYTES, CLI_DEADLINE_SECONDS, CLI_OUTPUT_MAX_BYTES};
use crate::runtime::Output;

impl WebServer {
    /// Runs a command for who has a CLI token. Its exit status is not reported: on MWAA it is not either.
    pub(super) async fn run_command(&self, request: Request) -> Result<Response, Refusal> {
        let token = bearer(request.headers()).ok_or(Refusal::NoBearer)?;
        self.tokens.redeem_cli(&self.environment, token).map_err(Refusal::Token)?;
        let body = rest_json::body(request, CLI_BODY_MAX_BYTES).await.map_err(Refusal::Body)?;
        let argv = words(&body)?;
        permitted::check(self.airflow_major(), &argv).map_err(Refusal::NotPermitted)?;
        // Not before the body is there: a client that sends it slowly would keep a place from others.
        let _place = self.places.try_acquire().map_err(|_| Refusal::Busy)?;
        let deadline = Duration::from_secs(CLI_DEADLINE_SECONDS);
        let output = self.runtime.exec(&self.environment, argv, deadline).await?;
        Ok(answer(output))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// The words of a command line, quoted as a shell's are. Nothing is expanded.
fn words(body: &[u8]) -> Result<Vec<String>, Refusal> {
    let line = std::str::from_utf8(body).map_err(|_| Refusal::NotText)?;
    words::split(line).ok_or(Refusal::NotWords)
}

/// Exactly two members, both plain text: AWS's Lambda sample reads them as Python literals.
fn answer(output: Output) -> Response {
    let Output { mut stdout, mut stderr, code: _ } = output;
    if cut(&mut stdout) | cut(&mut stderr) {
        let note = format!("\nwindtunnel: the output was cut at {CLI_OUTPUT_MAX_BYTES} bytes\n");
        stderr.extend_from_slice(note.as_bytes());
    }
    let body = json!({ "stdout": STANDARD.encode(stdout), "stderr": STANDARD.encode(stderr) });
    super::json(StatusCode::OK, &body)
}

fn cut(output: &mut Vec<u8>) -> bool {
    let too_long = output.len() > CLI_OUTPUT_MAX_BYTES;
    output.truncate(CLI_OUTPUT_MAX_BYTES);
    too_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_would_and_nothing_is_expanded() {
        let line = br#"dags trigger hello -c '{"k": "v w"}' --run-id "a b" $HOME `id` *"#;
        let expected = [
            "dags",
            "trigger",
            "hello",
            "-c",
            r#"{"k": "v w"}"#,
            "--run-id",
            "a b",
            "$HOME",
            "`id`",
            "*",
        ];
        assert_eq!(words(line).unwrap(), expected);
        assert!(matches!(words(b"variables set a 'b"), Err(Refusal::NotWords)));
        assert!(matches!(words(b"\xff"), Err(Refusal::NotText)));
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), expected, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn the_answer_has_two_members_in_base64_and_no_exit_status() {
        let output = Output { stdout: b"hello\n".to_vec(), stderr: Vec::new(), code: 1 };
        let response = answer(output);
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({ "stdout": "aGVsbG8K", "stderr": "" }));
    }

    #[test]
    fn endless_output_is_cut() {
        let mut output = vec![b'x'; CLI_OUTPUT_MAX_BYTES + 1];
        assert!(cut(&mut output));
        assert_eq!(output.len(), CLI_OUTPUT_MAX_BYTES);
    }
}
