//! Who may come in: a verb of the command line with the instance's token, or a page with our cookie.
//!
//! Whoever can reach the AWS endpoint without a known key may do everything there already, so then the page is for
//! whoever opens it. With `auth = "strict"` it takes a link that `windtunnel open console` asks for, good once.
//!
//! A page of somebody else's gets nothing: the cookie is `SameSite=Strict`; what changes something needs a header that
//! a foreign page cannot send; and pages on other ports of this machine, which browsers take for the same site, are
//! told apart by `Origin` and `Sec-Fetch-Site`.

use std::collections::HashMap;
use std::sync::Mutex;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use crate::api::wire::{Request, Response};
use crate::clock::{Clock, Timestamp};
use crate::config::Auth;
use crate::id;
use crate::limits::CONSOLE_LINK_SECONDS;

/// The header that carries the instance's token.
pub(super) const TOKEN_HEADER: &str = "x-windtunnel-token";

/// The header that our own pages send along with what changes something.
const PAGE_HEADER: &str = "x-windtunnel-console";

/// Sessions of one start of windtunnel.
#[derive(Debug)]
pub(super) struct Sessions {
    clock: Clock,
    open: bool,
    /// With the port in it: browsers do not keep the cookies of two ports apart.
    cookie: String,
    word: Secret,
    links: Mutex<HashMap<[u8; 32], Timestamp>>,
}

struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Sessions {
    pub(super) fn new(port: u16, auth: Auth, clock: Clock) -> Sessions {
        Sessions {
            clock,
            open: auth == Auth::Lenient,
            cookie: format!("windtunnel-console-{port}"),
            word: Secret(id::random_text(40)),
            links: Mutex::default(),
        }
    }

    /// Lets a request of the API in or says why not. `token` is the instance's.
    pub(super) fn admit(&self, request: &Request, token: &str) -> Result<(), Failure> {
        let headers = request.headers();
        if let Some(given) = headers.get(TOKEN_HEADER) {
            return if same(given.as_bytes(), token) { Ok(()) } else { Err(Failure::NoToken) };
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let from_page = self.has_cookie(headers)
            && is_from_here(headers)
            && (reads || headers.contains_key(PAGE_HEADER));
        if from_page { Ok(()) } else { Err(Failure::NoToken) }
    }

    /// Whether the page may be opened, as it is or with a cookie to set.
    pub(super) fn may_open(&self, headers: &HeaderMap) -> bool {
        self.open || self.has_cookie(headers)
    }

    /// Has the browser keep the session as long as it is open.
    pub(super) fn remember(&self, mut response: Response) -> Response {
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.word.0);
        let cookie = HeaderValue::from_str(&cookie).expect("letters and digits make a header");
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        response
    }

    /// A word that opens the page, once and soon.
    pub(super) fn link(&self) -> String {
        let word = id::random_text(40);
        let now = self.clock.now();
        let mut links = self.links.lock().expect("nothing panics under this lock");
        links.retain(|_, until| *until > now);
        links.insert(digest(word.as_bytes()), now.plus_millis(CONSOLE_LINK_SECONDS * 1000));
        word
    }

    /// Trades such a word for a session.
    pub(super) fn enter(&self, word: &str) -> Result<Response, Failure> {
        let mut links = self.links.lock().expect("nothing panics under this lock");
        let until = links.remove(&digest(word.as_bytes())).ok_or(Failure::UsedLink)?;
        if until <= self.clock.now() {
            return Err(Failure::UsedLink);
        }
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
        Ok(self.remember(response))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
            pair.trim().split_once('=').filter(|(name, _)| *name == self.cookie)
        });
        pairs.any(|(_, value)| same(value.as_bytes(), &self.word.0))
    }
}

/// Whether what the browser says of where a request comes from is this very page. A client that is no browser says
/// nothing, and has no cookie either.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = text("host");
    let origin = text("origin").is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host)
    });
    site && origin
}

/// Compares digests, so that the time it takes tells nothing.
fn same(given: &[u8], word: &str) -> bool {
    digest(given) == digest(word.as_bytes())
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn sessions(auth: Auth) -> Sessions {
        Sessions::new(4571, auth, Clock::held(Timestamp::from_millis(0)))
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = http::Request::builder()
            .method(method)
            .uri("/console/v1/status")
            .header("host", "localhost:4571");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn the_instances_token_opens_the_api() {
        let sessions = sessions(Auth::Lenient);
        assert!(sessions.admit(&request("POST", &[(TOKEN_HEADER, "token")]), "token").is_ok());
        assert!(sessions.admit(&request("GET", &[(TOKEN_HEADER, "guess")]), "token").is_err());
        assert!(sessions.admit(&request("GET", &[]), "token").is_err());
    }

    #[test]
    fn a_page_needs_our_cookie_and_a_change_our_header() {
        let sessions = sessions(Auth::Lenient);
        let cookie = format!("a=b; {}={}", sessions.cookie, sessions.word.0);
        let cookie = ("cookie", cookie.as_str());
        let header = (PAGE_HEADER, "1");
        let may = |method, headers: &[(&str, &str)]| {
            sessions.admit(&request(method, headers), "token").is_ok()
        };
        assert!(may("GET", &[cookie]));
        assert!(may("POST", &[cookie, header]));
        assert!(may("POST", &[cookie, header, ("origin", "http://localhost:4571")]));
        assert!(!may("POST", &[cookie]));
        assert!(!may("POST", &[header]));
    }

    #[test]
    fn a_page_on_another_port_gets_nothing() {
        let sessions = sessions(Auth::Lenient);
        let cookie = format!("{}={}", sessions.cookie, sessions.word.0);
        let cookie = ("cookie", cookie.as_str());
        let header = (PAGE_HEADER, "1");
        for foreign in [("origin", "http://localhost:8080"), ("sec-fetch-site", "same-site")] {
            for method in ["GET", "POST"] {
                let asked = request(method, &[cookie, header, foreign]);
                assert!(sessions.admit(&asked, "token").is_err(), "{foreign:?}");
            }
        }
    }

    #[test]
    fn a_link_opens_once_and_soon() {
        let sessions = sessions(Auth::Strict);
        assert!(!sessions.may_open(&HeaderMap::new()));
        let word = sessions.link();
        assert!(sessions.enter("guess").is_err());
        let entered = sessions.enter(&word).unwrap();
        let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
        assert!(sessions.may_open(&headers));
        assert!(sessions.enter(&word).is_err());
        let late = sessions.link();
        sessions.clock.advance(std::time::Duration::from_secs(61));
        assert!(sessions.enter(&late).is_err());
    }
}
