//! The cookies that carry a web session.
//!
//! MWAA's samples read the cookie `session`. Browsers do not keep the cookies of two ports apart, so a second one
//! carries the port in its name, and two environments can be open side by side. Airflow's own cookies have other names
//! and are passed on, in the one spelling that was judged here.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::api::wire::{Connection, Request};
use crate::limits::SESSION_LIFE_SECONDS;

/// What MWAA calls it.
const NAME: &str = "session";

/// What carries Airflow 3's own token, on MWAA and elsewhere.
const TOKEN: &str = "_token";

/// Session tokens in the request, the port's own first.
pub(super) fn sessions(request: &Request) -> Vec<String> {
    let own = port_name(request);
    let mut found: Vec<(bool, String)> = pairs(request.headers())
        .filter(|(name, _)| *name == NAME || own.as_deref() == Some(*name))
        .map(|(name, value)| (name == NAME, value.to_owned()))
        .collect();
    found.sort_by_key(|(general, _)| *general);
    found.into_iter().map(|(_, value)| value).collect()
}

/// Tokens of Airflow's own in the request, as a cookie or as a bearer.
pub(super) fn airflow_tokens(request: &Request) -> Vec<Cow<'_, str>> {
    let cookies = pairs(request.headers()).filter(|(name, _)| *name == TOKEN);
    let cookies = cookies.map(|(_, value)| Cow::Borrowed(value));
    // Python's decoder skips bytes that are no text, so they hide no token from us either.
    let bearer = request.headers().get_all(AUTHORIZATION).iter().filter_map(|value| {
        let at = value.as_bytes().iter().position(|byte| *byte == b' ')?;
        Some(String::from_utf8_lossy(value.as_bytes()[at..].trim_ascii()))
    });
    cookies.chain(bearer).filter(|token| !token.is_empty()).collect()
}

/// The headers that log a client in with `token`, or out with an empty one.
pub(super) fn set(request: &Request, token: &str) -> Vec<HeaderValue> {
    let names = [Some(NAME.to_owned()), port_name(request)];
    names.into_iter().flatten().filter_map(|name| header(request, &name, token)).collect()
}

/// The header that hands a client a token of Airflow's, or takes it away with an empty one.
pub(super) fn set_token(request: &Request, token: &str) -> Option<HeaderValue> {
    header(request, TOKEN, token)
}

fn header(request: &Request, name: &str, value: &str) -> Option<HeaderValue> {
    let secure = request.extensions().get::<Connection>().is_some_and(|from| from.tls);
    // AWS: the cookie is Secure. A client that came in without TLS would not send it back, so then it is not.
    let secure = if secure { "; Secure" } else { "" };
    let life = if value.is_empty() { 0 } else { SESSION_LIFE_SECONDS };
    let cookie = format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// Leaves only the cookies that are not ours.
pub(super) fn remove(headers: &mut HeaderMap) {
    let ours = |name: &str| {
        let rest = name.strip_prefix(NAME);
        rest.is_some_and(|rest| {
            let port = rest.strip_prefix('_').unwrap_or("");
            rest.is_empty() || (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let others: Vec<_> = pairs(headers)
        .filter(|(name, value)| !ours(name) && !is_disguised(name, value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // HTTP/2 may split cookies over several headers; one is what HTTP/1 servers expect.
    headers.remove(COOKIE);
    if !others.is_empty()
        && let Ok(cookies) = HeaderValue::from_str(&others.join("; "))
    {
        headers.insert(COOKIE, cookies);
    }
}

/// Whether it becomes a token of Airflow's only where Python takes quotes and escapes out of it. A JWT has neither.
fn is_disguised(name: &str, value: &str) -> bool {
    name == TOKEN && value.contains(['"', '\\'])
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

fn port_name(request: &Request) -> Option<String> {
    let from = request.extensions().get::<Connection>()?;
    Some(format!("{NAME}_{}", from.local.port()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(cookies: &[&str], tls: bool) -> Request {
        let mut builder = http::Request::builder().extension(Connection {
            peer: "127.0.0.1:50000".parse().unwrap(),
            local: "127.0.0.1:8080".parse().unwrap(),
            tls,
        });
        for cookie in cookies {
            builder = builder.header(COOKIE, *cookie);
        }
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn the_ports_own_session_comes_first_and_other_ports_not_at_all() {
        let request = request(&["session=general; a=b; session_8080=own", "session_8081=x"], true);
        assert_eq!(sessions(&request), ["own", "general"]);
    }

    #[test]
    fn our_cookies_stay_with_us_and_airflows_is_passed_on() {
        let mut headers = request(
            &["session=s; airflow_session=keep; session_8080=s", "theme=dark; session_id=keep"],
            true,
        )
        .headers()
        .clone();
        remove(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["airflow_session=keep; theme=dark; session_id=keep"]);
        let mut only_ours = request(&["session=s"], true).headers().clone();
        remove(&mut only_ours);
        assert!(!only_ours.contains_key(COOKIE));
    }

    #[test]
    fn a_token_of_airflows_is_seen_and_passed_on_in_one_spelling() {
        let mut with =
            request(&["_token = a.b.c; _token=\"a.b.c\"", "_token=a\\056b.c; x=\"y\""], true);
        with.headers_mut()
            .insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer  a.b.\xe9").unwrap());
        let seen = airflow_tokens(&with);
        assert_eq!(seen, ["a.b.c", "\"a.b.c\"", "a\\056b.c", "a.b.\u{fffd}"]);
        remove(with.headers_mut());
        assert_eq!(with.headers()[COOKIE], "_token=a.b.c; x=\"y\"");
    }

    #[test]
    fn a_session_cookie_is_secure_over_tls_alone() {
        let over_tls = set(&request(&[], true), "t");
        assert_eq!(over_tls[0], "session=t; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            set(&request(&[], false), "t")[1],
            "session_8080=t; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"
        );
        assert!(set(&request(&[], true), "")[0].to_str().unwrap().contains("Max-Age=0"));
    }
}
