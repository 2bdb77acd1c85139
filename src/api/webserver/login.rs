//! Sign-in with a web-login token, and signing out.

use http::StatusCode;
use http::header::SET_COOKIE;
use serde_json::json;

use super::failure::Refusal;
use super::proxy::Identity;
use super::{Request, Response, WebServer, cookie, page};
use crate::api::wire::rest_json;
use crate::limits::LOGIN_BODY_MAX_BYTES;
use crate::tokens::{Grant, Refused};

impl WebServer {
    /// Exchanges a web-login token, once, for a session of twelve hours. Samples demand status 200 and no redirect.
    pub(super) async fn log_in(&self, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let form = Request::from_parts(parts.clone(), body);
        let form = rest_json::body(form, LOGIN_BODY_MAX_BYTES).await.map_err(Refusal::Body)?;
        let token = form_token(&form)?;
        let grant = self.tokens.redeem_web(&self.environment, &token).await;
        let grant = grant.map_err(Refusal::Token)?;
        let session = self.tokens.issue_session(&self.environment, &grant);
        let request = Request::from_parts(parts, axum::body::Body::empty());
        let mut cookies = cookie::set(&request, session.reveal());
        if self.airflow_major() >= 3 {
            // AWS: on Airflow 3, samples read `_token` and send it to the REST API as a bearer.
            let token = self.airflow_token(grant).await?;
            cookies.extend(cookie::set_token(&request, &token));
        }
        let mut response = super::json(StatusCode::OK, &json!({}));
        for cookie in cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// A token of Airflow 3's own for who was granted access: made, and later checked, by Airflow.
    async fn airflow_token(&self, grant: Grant) -> Result<String, Refusal> {
        let upstream = self.upstream()?;
        let identity = Identity { grant, secret: upstream.proxy_secret };
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = http::Uri::from_static("/windtunnel/token");
        let answer = self.proxy.forward(upstream.address, Some(&identity), request).await?;
        if answer.status() != StatusCode::OK {
            tracing::error!(status = %answer.status(), "Airflow gave no token");
            return Err(Refusal::Upstream);
        }
        let token = axum::body::to_bytes(answer.into_body(), LOGIN_BODY_MAX_BYTES).await;
        let token = token.ok().and_then(|bytes| String::from_utf8(bytes.into()).ok());
        token.ok_or(Refusal::Upstream)
    }

    /// Ends the session, wherever a copy of its cookie may be.
    pub(super) async fn log_out(&self, request: Request) -> Result<Response, Refusal> {
        let mut was_ours = false;
        for session in cookie::sessions(&request) {
            match self.tokens.end_session(&self.environment, &session).await {
                Ok(()) => was_ours = true,
                // A cookie that is none of ours, or not any more, has nothing to end.
                Err(Refused::Invalid | Refused::Expired) => {}
                Err(refused) => return Err(Refusal::Token(refused)),
            }
        }
        // What Airflow itself gave for that session. Nobody else has us remember texts.
        if was_ours {
            for token in cookie::airflow_tokens(&request) {
                self.tokens.end_airflow_token(&token).await.map_err(Refusal::Token)?;
            }
        }
        let mut response = page::logged_out();
        for cookie in cookie::set(&request, "").into_iter().chain(cookie::set_token(&request, "")) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

fn form_token(form: &[u8]) -> Result<String, Refusal> {
    let form = std::str::from_utf8(form).map_err(|_| Refusal::NoFormToken)?;
    let mut tokens =
        rest_json::query_values(Some(form), "token").map_err(|_| Refusal::NoFormToken)?;
    tokens.pop().filter(|token| !token.is_empty()).ok_or(Refusal::NoFormToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_read_out_of_the_form() {
        assert_eq!(form_token(b"token=a.b-c_d").unwrap(), "a.b-c_d");
        assert_eq!(form_token(b"x=1&token=a%2Eb").unwrap(), "a.b");
        for form in [&b""[..], b"token=", b"tok=1", b"\xff"] {
            assert!(matches!(form_token(form), Err(Refusal::NoFormToken)));
        }
    }
}
