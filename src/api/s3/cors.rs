//! Cross-origin requests: a bucket says which web pages may talk to it.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use s3s::{S3Result, s3_error};

use super::error::custom;
use super::settings::empty;
use super::xml::{Node, malformed};

/// Rules in one configuration (S3 user guide, "Elements of a CORS configuration").
const RULES_MAX: usize = 100;

const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Checks a document.
pub(super) fn check(document: &mut Node) -> S3Result<()> {
    if document.children.is_empty() || document.children.len() > RULES_MAX {
        return Err(malformed());
    }
    for rule in &document.children {
        let has = |name: &str| rule.child(name).is_some();
        if rule.name != "CORSRule" || !has("AllowedOrigin") || !has("AllowedMethod") {
            return Err(malformed());
        }
        for method in rule.all("AllowedMethod") {
            if !METHODS.contains(&method.text.as_str()) {
                return Err(s3_error!(
                    InvalidRequest,
                    "Found unsupported HTTP method in CORS config. Unsupported method is {}",
                    method.text
                ));
            }
        }
        for name in ["AllowedOrigin", "AllowedHeader"] {
            for pattern in rule.all(name) {
                if pattern.text.matches('*').count() > 1 {
                    return Err(s3_error!(
                        InvalidRequest,
                        "{} \"{}\" can not have more than one wildcard.",
                        name,
                        pattern.text
                    ));
                }
            }
        }
        if rule.text_of("MaxAgeSeconds").is_some_and(|age| age.trim().parse::<i64>().is_err()) {
            return Err(malformed());
        }
    }
    Ok(())
}

/// What a web page asks through its browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    origin: String,
    /// The method of the request itself, or that a preflight asks for.
    method: String,
    /// The headers that a preflight asks for.
    headers: Vec<String>,
}

/// Whether a web page that is none of this machine's is behind a request.
///
/// Browsers leave `Origin` out of what a page only embeds or links to, and say `Sec-Fetch-Site` then.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    };
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !(is_loopback || host == "localhost" || host.ends_with(".localhost"))
}

impl Asked {
    /// `None` where no web page is behind a request.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Asked> {
        let text = |name: header::HeaderName| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let preflight = text(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = text(header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let asked = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
        Some(Asked {
            origin: text(header::ORIGIN)?,
            method: preflight.unwrap_or_else(|| method.to_string()),
            headers: asked.map(str::to_ascii_lowercase).collect(),
        })
    }

    fn is_allowed_by(&self, rule: &Node) -> bool {
        let origin = rule.all("AllowedOrigin").any(|allowed| fits(&allowed.text, &self.origin));
        let method = rule.all("AllowedMethod").any(|allowed| allowed.text == self.method);
        origin
            && method
            && self.headers.iter().all(|asked| {
                rule.all("AllowedHeader")
                    .any(|allowed| fits(&allowed.text.to_ascii_lowercase(), asked))
            })
    }

    /// The headers that the first rule that allows it adds to the answer.
    pub(super) fn answer(&self, document: &str) -> Option<HeaderMap> {
        let document = Node::parse(document.as_bytes()).ok()?;
        let rule = document.all("CORSRule").find(|rule| self.is_allowed_by(rule))?;
        let mut headers = HeaderMap::new();
        let mut add = |name: header::HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let joined = |name: &str| {
            rule.all(name).map(|each| each.text.clone()).collect::<Vec<_>>().join(", ")
        };
        let everyone = rule
            .all("AllowedOrigin")
            .find(|allowed| fits(&allowed.text, &self.origin))
            .is_some_and(|allowed| allowed.text == "*");
        if everyone {
            add(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            add(header::ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
            add(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        add(header::ACCESS_CONTROL_ALLOW_METHODS, &joined("AllowedMethod"));
        if !self.headers.is_empty() {
            add(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
        let exposed = joined("ExposeHeader");
        if !exposed.is_empty() {
            add(header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
        }
        if let Some(age) = rule.text_of("MaxAgeSeconds") {
            add(header::ACCESS_CONTROL_MAX_AGE, age.trim());
        }
        add(header::VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
        Some(headers)
    }
}

/// Whether a text is what a pattern with at most one `*` says.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len()
                && text.starts_with(before)
                && text.ends_with(after)
        }
    }
}

/// Answers a preflight.
pub(super) fn preflight(
    asked: Option<&Asked>,
    headers: &HeaderMap,
    document: Option<&str>,
) -> S3Result<http::Response<s3s::Body>> {
    let Some(asked) = asked else {
        return Err(custom(
            "BadRequest",
            StatusCode::BAD_REQUEST,
            "Insufficient information. Origin request header needed.",
        ));
    };
    if !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(custom(
            "BadRequest",
            StatusCode::BAD_REQUEST,
            "Invalid Access-Control-Request-Method: null",
        ));
    }
    let Some(document) = document else {
        return Err(custom(
            "AccessForbidden",
            StatusCode::FORBIDDEN,
            "CORSResponse: CORS is not enabled for this bucket.",
        ));
    };
    let Some(allowed) = asked.answer(document) else {
        return Err(custom(
            "AccessForbidden",
            StatusCode::FORBIDDEN,
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
             Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers \
             are not whitelisted by the resource's CORS spec.",
        ));
    };
    let mut response = empty(StatusCode::OK);
    *response.headers_mut() = allowed;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_once() {
        for (pattern, text, wanted) in [
            ("*", "http://a", true),
            ("http://*.example.com", "http://www.example.com", true),
            ("http://*.example.com", "http://example.com", false),
            ("a*a", "a", false),
            ("a", "a", true),
            ("a", "b", false),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
