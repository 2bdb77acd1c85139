//! The built console inside the binary, or the page that stands in for it.

use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::api::wire::Response;

/// `make ui` puts the built console below `app/`; `index.html` beside it is checked in.
#[derive(rust_embed::RustEmbed)]
#[folder = "ui/dist"]
struct Dist;

/// Nothing from elsewhere, no script that is not a file of ours, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The stand-in has its styles inside.
const STAND_IN_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The page at every path: which one it is decides the script in it.
pub(super) fn page() -> Response {
    if let Some(built) = Dist::get("app/index.html") {
        return html(StatusCode::OK, built.data.into_owned(), POLICY);
    }
    let stand_in = Dist::get("index.html").expect("ui/dist/index.html is checked in");
    html(StatusCode::OK, stand_in.data.into_owned(), STAND_IN_POLICY)
}

/// A small page of our own, for who may not come in.
pub(super) fn closed() -> Response {
    let text = "<!doctype html><title>windtunnel</title><p>This console opens with a link: \
        <code>windtunnel open console</code> prints one.</p>";
    html(StatusCode::UNAUTHORIZED, text.into(), STAND_IN_POLICY)
}

/// A file of the built console. Its name has a digest of its content in it, so a browser may keep it for good.
pub(super) fn file(name: &str) -> Option<Response> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !plain || name.starts_with('.') {
        return None;
    }
    let packed = Dist::get(&format!("app/assets/{name}.gz"));
    let is_packed = packed.is_some();
    let found = packed.or_else(|| Dist::get(&format!("app/assets/{name}")))?;
    let mut response = Response::new(Body::from(found.data.into_owned()));
    set(&mut response, header::CONTENT_TYPE, kind(name));
    set(&mut response, header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if is_packed {
        set(&mut response, header::CONTENT_ENCODING, "gzip");
    }
    Some(response)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn html(status: StatusCode, bytes: Vec<u8>, policy: &'static str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, header::REFERRER_POLICY, "no-referrer");
    set(&mut response, header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_files() {
        for name in ["../index.html", "a/b.js", "", ".hidden", "%2e%2e"] {
            assert!(file(name).is_none(), "{name}");
        }
    }

    #[test]
    fn there_is_always_a_page() {
        assert_eq!(page().status(), StatusCode::OK);
    }
}
