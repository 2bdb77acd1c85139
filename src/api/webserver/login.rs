//! Sign-in with a web-login token, and signing out.

use http::StatusCode;
use http::header::SET_COOKIE;
use serde_json::json;

use super::failure::Refusal;
use super::{Request, Response, WebServer, cookie, page};
use crate::api::wire::rest_json;
use crate::limits::LOGIN_BODY_MAX_BYTES;
use crate::tokens::Refused;

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
        let mut response = super::json(StatusCode::OK, &json!({}));
        let request = Request::from_parts(parts, axum::body::Body::empty());
        for cookie in cookie::set(&request, session.reveal()) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Ends the session, wherever a copy of its cookie may be.
    pub(super) async fn log_out(&self, request: Request) -> Result<Response, Refusal> {
        for session in cookie::sessions(&request) {
            match self.tokens.end_session(&self.environment, &session).await {
                // A cookie that is none of ours, or not any more, has nothing to end.
                Ok(()) | Err(Refused::Invalid | Refused::Expired) => {}
                Err(refused) => return Err(Refusal::Token(refused)),
            }
        }
        let mut response = page::logged_out();
        for cookie in cookie::set(&request, "") {
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
