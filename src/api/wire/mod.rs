//! AWS's protocols by name, shared by the `api` rooms, and who is calling.

pub mod aws_json;
pub mod aws_query;
pub mod event_stream;
pub mod rest_json;
pub mod rpc_cbor;
pub mod sigv4;

use std::net::SocketAddr;

use axum::body::Body;

use crate::config::Identity;

/// A request as the gateway hands it on: the body not yet read.
pub type Request = http::Request<Body>;
/// An answer to it.
pub type Response = http::Response<Body>;

/// Who signed the request. Put into the request's extensions by the gateway.
#[derive(Clone, Debug)]
pub struct Caller(pub Identity);

/// The id under which a request is logged and answered. Put into the request's extensions by the gateway.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// How the connection came in. Put into the request's extensions by the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub tls: bool,
}
