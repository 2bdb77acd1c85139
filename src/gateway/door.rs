//! Who may come in: requests that name this machine.
//!
//! A page of some web site can make a browser send requests to loopback, directly or by pointing its own name here
//! (DNS rebinding). Such requests carry a foreign `Origin` or `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header, request::Parts};

use crate::api::wire::Response;

/// The rule of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    address: SocketAddr,
    /// Pages from elsewhere may ask S3, which has rules of its own for them (CORS).
    pages: bool,
}

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request names no host; send a Host header such as `localhost`")]
    NoHost,
    #[error("`{0}` is not a name of this machine; use `localhost`")]
    ForeignHost(String),
    #[error("requests from pages of `{0}` are refused")]
    ForeignOrigin(String),
    #[error("requests that a page of another site makes are refused")]
    ForeignPage,
}

impl Door {
    /// The rule for a listener at `address`.
    pub fn new(address: SocketAddr) -> Door {
        Door { address, pages: false }
    }

    /// The rule for the AWS endpoint at `address`: pages from elsewhere may ask S3, and nothing else.
    pub fn for_pages_of_others(address: SocketAddr) -> Door {
        Door { address, pages: true }
    }

    /// Lets a request in or says why not.
    pub fn check(&self, parts: &Parts) -> Result<(), Refusal> {
        let host = host_of(parts).ok_or(Refusal::NoHost)?;
        if !self.is_ours(&host) {
            return Err(Refusal::ForeignHost(host));
        }
        match origin_of(&parts.headers) {
            Some(origin) if !self.is_our_origin(&origin) => {
                if self.pages && super::aws::is_for_s3(parts) {
                    return Ok(());
                }
                Err(Refusal::ForeignOrigin(origin))
            }
            None if is_embedded(&parts.headers, self.pages) => {
                if self.pages && super::aws::is_for_s3(parts) {
                    return Ok(());
                }
                Err(Refusal::ForeignPage)
            }
            _ => Ok(()),
        }
    }

    /// A literal address cannot be rebound; of names, `localhost` and what lies below it are this machine's
    /// (RFC 6761, section 6.3).
    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        // What SDKs put before the host of a live tail, whatever it is: no name on the Internet ends in it.
        let tail = ["streaming-", "stream-"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let name = tail.unwrap_or(&name);
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => {
                ip.is_loopback() || ip == self.address.ip() || self.address.ip().is_unspecified()
            }
            // Host prefixes and bucket names in front of an address: `api.127.0.0.1`, `bucket.127.0.0.1`.
            Err(_) => name.ends_with(".127.0.0.1"),
        }
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        origin.split_once("://").is_some_and(|(_, host)| self.is_ours(host))
    }
}

impl Refusal {
    pub(super) fn into_response(self) -> Response {
        let status = match self {
            Refusal::NoHost => StatusCode::BAD_REQUEST,
            Refusal::ForeignHost(_) | Refusal::ForeignOrigin(_) | Refusal::ForeignPage => {
                StatusCode::FORBIDDEN
            }
        };
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
        response
    }
}

/// The host that a request is for: its authority in HTTP/2, its `Host` header otherwise.
fn host_of(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).map(str::to_owned)
}

fn origin_of(headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?;
    Some(String::from_utf8_lossy(origin.as_bytes()).into_owned())
}

/// Whether a page of another site has the browser ask: an image, a frame, a script. Such requests have no `Origin`.
///
/// A person who follows a link from there to a page of ours is welcome; the AWS endpoint has no pages.
fn is_embedded(headers: &HeaderMap, has_no_pages: bool) -> bool {
    let says = |name: &str, what: &str| headers.get(name).is_some_and(|value| value == what);
    let follows_a_link = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    says("sec-fetch-site", "cross-site") && (has_no_pages || !follows_a_link)
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), Refusal> {
        let mut request = http::Request::builder().uri("/").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let door = Door::new("127.0.0.1:4570".parse().unwrap());
        door.check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn names_of_this_machine_come_in() {
        for host in [
            "localhost",
            "localhost:4570",
            "API.localhost:4570",
            "bucket.s3.localhost",
            "127.0.0.1:1",
            "[::1]:4570",
            "api.127.0.0.1:4570",
        ] {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
        assert_eq!(check("localhost", Some("http://localhost:4571")), Ok(()));
    }

    #[test]
    fn what_a_foreign_page_embeds_is_refused_and_a_link_from_it_is_not() {
        let check = |door: Door, uri: &str, mode: &str, destination: &str| {
            let request = http::Request::builder()
                .uri(uri)
                .header("host", "localhost")
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-mode", mode)
                .header("sec-fetch-dest", destination);
            door.check(&request.body(()).unwrap().into_parts().0)
        };
        let address = "127.0.0.1:4570".parse().unwrap();
        let (web, aws) = (Door::new(address), Door::for_pages_of_others(address));
        assert_eq!(check(web, "/home", "navigate", "document"), Ok(()));
        for (mode, destination) in [("no-cors", "image"), ("navigate", "iframe")] {
            assert_eq!(check(web, "/home", mode, destination), Err(Refusal::ForeignPage));
        }
        let query = "/?Action=PurgeQueue&QueueUrl=q";
        assert_eq!(check(aws, query, "navigate", "document"), Err(Refusal::ForeignPage));
        assert_eq!(check(aws, "/bucket/key", "no-cors", "image"), Ok(()), "S3 judges by itself");
    }

    #[test]
    fn a_foreign_host_or_origin_is_refused() {
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "notlocalhost"] {
            assert_eq!(check(host, None), Err(Refusal::ForeignHost(host.to_owned())));
        }
        for origin in ["https://evil.example", "null", "http://10.0.0.1"] {
            let refused = Err(Refusal::ForeignOrigin(origin.to_owned()));
            assert_eq!(check("localhost", Some(origin)), refused);
        }
    }
}
