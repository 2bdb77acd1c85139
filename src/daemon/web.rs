//! For each environment about to be launched: a listener for its web server, and the delivery of its DAGs.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Rooms;
use super::project::Note;
use crate::api::mwaa::rest::{Airflow, Ask};
use crate::api::webserver::WebServer;
use crate::api::wire::{Request, Response};
use crate::delivery::Delivery;
use crate::environment::{Environments, Serve, Wish};
use crate::gateway::{self, Front, door::Door};
use crate::id::{BucketName, EnvironmentName};
use crate::tokens::Grant;

/// Ports that are tried above the configured one before giving up.
const PORTS_TRIED: u16 = 100;

/// What every environment's listener and delivery are made of.
pub(super) struct Host {
    pub(super) environments: Environments,
    pub(super) rooms: Rooms,
    pub(super) tls: TlsAcceptor,
    pub(super) home: PathBuf,
    /// The first environment's address; the next ones get the next free ports.
    pub(super) base: SocketAddr,
    /// The project's own environment, and the listener that was bound for it before the start.
    pub(super) own: Option<EnvironmentName>,
    pub(super) first: Option<TcpListener>,
    pub(super) sync_interval: Duration,
    pub(super) stop: CancellationToken,
    pub(super) note: mpsc::UnboundedSender<Note>,
}

/// What serves one environment.
struct Served {
    address: SocketAddr,
    listener: Part,
    /// Where in S3 the DAGs come from.
    place: (BucketName, String),
    delivery: Part,
}

/// Something under way that can be ended and waited for.
struct Part {
    stop: CancellationToken,
    under_way: TaskTracker,
}

/// Fulfils wishes until the end; then waits for what it has started.
pub(super) async fn run(mut host: Host, mut wishes: mpsc::Receiver<Wish>) {
    let mut served: HashMap<EnvironmentName, Served> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wish = tokio::select! {
            Some(wish) = wishes.recv() => wish,
            Some(Err(failure)) = tasks.join_next() => {
                // Ends the daemon: our caller looks for panics.
                std::panic::resume_unwind(failure.into_panic());
            }
            () = host.stop.cancelled() => break,
        };
        // Whoever wished may be gone by the time of an answer.
        match wish {
            Wish::Serve(wish) => {
                let before = served.remove(&wish.environment);
                let now = host.serve(&wish, before, &mut tasks).await;
                let address = now.map(|now| {
                    let address = now.address;
                    served.insert(wish.environment, now);
                    address
                });
                drop(wish.answer.send(address));
            }
            Wish::Leave { environment, done } => {
                if let Some(Served { listener, delivery, .. }) = served.remove(&environment) {
                    delivery.end().await;
                    listener.end().await;
                }
                done.send(()).unwrap_or_default();
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// How the MWAA service asks an environment's Airflow: past the listener, with the identity it says.
pub(super) fn airflow(environments: &Environments, rooms: &Rooms) -> Airflow {
    let Rooms { tokens, runtime, .. } = rooms.clone();
    let environments = environments.clone();
    let server = move |name| {
        WebServer::new(name, environments.clone(), tokens.clone(), Arc::clone(&runtime))
    };
    Airflow(Arc::new(Inner(server)))
}

/// Makes a web server for an environment.
struct Inner<F>(F);

impl<F: Fn(EnvironmentName) -> WebServer + Send + Sync> Ask for Inner<F> {
    fn ask(
        &self,
        environment: EnvironmentName,
        grant: Grant,
        request: Request,
    ) -> BoxFuture<'static, Response> {
        let server = (self.0)(environment);
        Box::pin(async move { server.call_as(grant, request).await })
    }
}

impl Part {
    fn new(of: &CancellationToken) -> Part {
        Part { stop: of.child_token(), under_way: TaskTracker::new() }
    }

    fn run(&self, tasks: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) {
        tasks.spawn(self.under_way.track_future(work));
    }

    async fn end(self) {
        self.stop.cancel();
        self.under_way.close();
        self.under_way.wait().await;
    }
}

impl Host {
    /// Keeps of `before` what is still right, and starts what is not.
    async fn serve(
        &mut self,
        wish: &Serve,
        before: Option<Served>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Served> {
        let place = (wish.bucket.clone(), wish.dag_path.clone());
        let listening = match before {
            Some(before) if before.place == place => return Ok(before),
            Some(Served { address, listener, delivery, .. }) => {
                delivery.end().await;
                Some((address, listener))
            }
            None => None,
        };
        let following = Part::new(&self.stop);
        let delivery = self.deliver(wish).await?;
        following.run(tasks, delivery.run(following.stop.clone()));
        let (address, listener) = match listening {
            Some(listening) => listening,
            None => self.listen(wish, tasks).await?,
        };
        Ok(Served { address, listener, place, delivery: following })
    }

    async fn listen(
        &mut self,
        wish: &Serve,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<(SocketAddr, Part)> {
        let own = self.own.as_ref() == Some(&wish.environment);
        let listener = match self.first.take_if(|_| own) {
            Some(listener) => listener,
            None => self.bind(wish.preferred).await?,
        };
        let address = listener.local_addr()?;
        let server = WebServer::new(
            wish.environment.clone(),
            self.environments.clone(),
            self.rooms.tokens.clone(),
            Arc::clone(&self.rooms.runtime),
        );
        let front = Front {
            name: wish.environment.to_string(),
            tls: Some(self.tls.clone()),
            door: Door::new(address),
            handler: Arc::new(move |request| {
                let server = server.clone();
                Box::pin(async move { server.call(request).await })
            }),
        };
        let part = Part::new(&self.stop);
        part.run(tasks, gateway::serve(listener, front, part.stop.clone()));
        Ok((address, part))
    }

    /// Fills the environment's dags directory, before anything reads it.
    async fn deliver(&self, wish: &Serve) -> io::Result<Delivery> {
        let delivery = Delivery::new(
            wish.environment.clone(),
            wish.bucket.clone(),
            wish.dag_path.clone(),
            self.home.join(wish.environment.as_str()).join("dags"),
            self.rooms.objects.clone(),
            self.rooms.db.clone(),
            Arc::clone(&self.rooms.runtime),
            self.sync_interval,
        );
        delivery.sync_once().await.map_err(io::Error::other)?;
        // Nobody may be at the terminal.
        drop(self.note.send(Note::Delivering(wish.environment.clone())));
        Ok(delivery)
    }

    async fn bind(&self, preferred: Option<SocketAddr>) -> io::Result<TcpListener> {
        if let Some(preferred) = preferred
            && let Ok(listener) = TcpListener::bind(preferred).await
        {
            return Ok(listener);
        }
        if self.base.port() == 0 {
            return TcpListener::bind(self.base).await;
        }
        let mut last = None;
        for above in 1..=PORTS_TRIED {
            let address = SocketAddr::new(self.base.ip(), self.base.port().saturating_add(above));
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
    }
}
