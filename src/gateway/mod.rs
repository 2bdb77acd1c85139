//! Listeners: http and https on one port, who may come in, and which service a request is for.
//!
//! Promise: a request reaches a room only with a `Host` (and `Origin`) of this machine, with an id, a span and a
//! checked signature; a connection that ends drops the work it asked for.
//! Not here: what any service answers (`api`).

pub mod activity;
pub mod aws;
pub mod door;
pub mod tls;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span};

use crate::api::wire::{Connection, Request, RequestId, Response};
use door::Door;

/// Answers the requests of one listener.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// A connection that has sent nothing for this long is closed: it holds a socket and nobody waits for it.
const FIRST_BYTE_SECONDS: u64 = 30;

/// How long requests under way may go on once a listener stops; a long poll would outlast any patience.
const GOODBYE_SECONDS: u64 = 2;

/// The first byte of every TLS connection: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// One listener and what it needs to answer.
#[derive(Clone)]
pub struct Front {
    /// For the log: `aws`, `console`, an environment's name.
    pub name: String,
    pub tls: Option<TlsAcceptor>,
    pub door: Door,
    pub handler: Handler,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Accepts and answers until `stop`, then lets requests under way finish for a moment.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(greet(stream, peer, front.clone(), stop.clone()));
            }
            // The peer gave up before we looked, or we are out of sockets for the moment.
            Err(error) => {
                debug!(%error, "a connection was not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
    connections.close();
    let goodbye = Duration::from_secs(GOODBYE_SECONDS);
    // Who has not finished by then is dropped with the runtime's tasks.
    drop(tokio::time::timeout(goodbye, connections.wait()).await);
}

async fn greet(stream: TcpStream, peer: SocketAddr, front: Front, stop: CancellationToken) {
    // Without this a small answer waits 40 ms for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    let mut first = [0; 1];
    let patience = Duration::from_secs(FIRST_BYTE_SECONDS);
    let peeked = tokio::select! {
        peeked = tokio::time::timeout(patience, stream.peek(&mut first)) => peeked,
        () = stop.cancelled() => return,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    match (&front.tls, first[0] == TLS_HANDSHAKE) {
        (Some(tls), true) => match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                converse(stream, Connection { peer, local, tls: true }, front, stop).await;
            }
            Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => debug!(%peer, "a TLS handshake took too long"),
        },
        (None, true) => debug!(%peer, "TLS on a listener that has none"),
        (_, false) => {
            converse(stream, Connection { peer, local, tls: false }, front, stop).await;
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    front: Front,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let front = front.clone();
        async move { Ok::<_, std::convert::Infallible>(answer(request, connection, front).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut conversation =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        debug!(peer = %connection.peer, %error, "a connection broke");
    }
}

async fn answer(
    request: hyper::Request<hyper::body::Incoming>,
    connection: Connection,
    front: Front,
) -> Response {
    let began = Instant::now();
    let id = uuid::Uuid::new_v4().to_string();
    let span = info_span!("request", request_id = %id, front = %front.name);
    let (mut parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    parts.extensions.insert(connection);
    parts.extensions.insert(RequestId(id));
    let answering = async {
        if let Err(refusal) = front.door.check(&parts) {
            return refusal.into_response();
        }
        (front.handler)(Request::from_parts(parts, Body::new(body))).await
    };
    let response = answering.instrument(span.clone()).await;
    span.in_scope(|| {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        info!(%method, path, status = response.status().as_u16(), micros, "answered");
    });
    response
}
