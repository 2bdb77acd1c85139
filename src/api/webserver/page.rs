//! The few pages of our own that a person may meet in front of Airflow.
//!
//! Promise: no page loads anything, and no script runs but the one we wrote: each answer's policy names it by a nonce.

use axum::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use crate::api::wire::Response;
use crate::id::{self, EnvironmentName};

/// Posts the token that stands behind the `#`, which no server sees, and goes on to Airflow.
const SSO_SCRIPT: &str = r#"
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const say = (text) => { document.getElementById("say").textContent = text; };
const login = () => fetch("/aws_mwaa/login", { method: "POST", body: new URLSearchParams({ token }) })
  .then((answer) => answer.ok
    ? location.replace("HOME")
    : answer.json().then((body) => say("Not logged in: " + body.message + ".")))
  .catch(() => say("windtunnel does not answer. Is it running?"));
if (token) { login(); } else { say("There is no token in this address. Ask for one with create-web-login-token."); }
"#;

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; }
code, pre { font: 0.9rem/1.5 ui-monospace, monospace; }
pre { padding: 0.8rem; border: 1px solid; border-radius: 6px; overflow-x: auto; }
";

/// `/aws_mwaa/aws-console-sso`: logs the browser in and goes to `home`.
pub(super) fn console_sso(home: &str) -> Response {
    let script = SSO_SCRIPT.replace("HOME", home);
    page(
        StatusCode::OK,
        "Signing in",
        r#"<p id="say" role="status">Signing in to Airflow…</p>"#,
        &script,
    )
}

/// What somebody without a session sees.
pub(super) fn log_in(environment: &EnvironmentName, host: &str) -> Response {
    let (environment, host) = (escaped(environment.as_str()), escaped(host));
    let body = format!(
        "<p>Airflow's UI opens with a web-login token, as on Amazon MWAA. In the project's folder:</p>
<pre>windtunnel open airflow</pre>
<p>or, with any AWS client:</p>
<pre>aws mwaa create-web-login-token --name {environment}</pre>
<p>and open <code>https://{host}/aws_mwaa/aws-console-sso?login=true#</code> with the <code>WebToken</code>
behind the <code>#</code> within 60 seconds.</p>"
    );
    page(StatusCode::UNAUTHORIZED, "You are not logged in", &body, "")
}

/// What somebody sees who has logged out.
pub(super) fn logged_out() -> Response {
    page(StatusCode::OK, "You are logged out", "<p>The session in this browser has ended.</p>", "")
}

/// A refusal, as a person reads it.
pub(super) fn failure(status: StatusCode, message: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Something went wrong");
    page(status, title, &format!("<p>{}.</p>", escaped(message)), "")
}

fn page(status: StatusCode, title: &str, body: &str, script: &str) -> Response {
    let nonce = id::random_text(22);
    let script = if script.is_empty() {
        String::new()
    } else {
        format!("<script nonce=\"{nonce}\">{script}</script>\n")
    };
    let html = format!(
        "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>{title} · windtunnel</title>
<style nonce=\"{nonce}\">{STYLE}</style>
<h1>{title}</h1>
{body}
{script}</html>
"
    );
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_str(&policy).expect("a nonce is letters and digits");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn the_sso_page_runs_its_own_script_and_no_other() {
        let response = console_sso("/home");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(body.matches("<script").count(), 1);
        assert!(body.contains(&format!("<script nonce=\"{nonce}\">")));
        assert!(body.contains(r#"location.replace("/home")"#));
        assert!(!policy.contains("unsafe"));
    }

    #[tokio::test]
    async fn what_a_client_sent_is_shown_as_text() {
        let dev = EnvironmentName::parse("dev").unwrap();
        let response = log_in(&dev, "<script>");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("https://&lt;script&gt;/aws_mwaa"));
    }
}
