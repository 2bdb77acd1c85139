//! For each environment about to be launched: a listener for its web server, and the delivery of its DAGs.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Rooms;
use super::project::Note;
use crate::api::webserver::WebServer;
use crate::delivery::Delivery;
use crate::environment::{BindWeb, Environments};
use crate::gateway::{self, Front, door::Door};
use crate::id::EnvironmentName;

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
    /// Bound before the start, for the first environment.
    pub(super) first: Option<TcpListener>,
    pub(super) sync_interval: Duration,
    pub(super) stop: CancellationToken,
    pub(super) note: mpsc::UnboundedSender<Note>,
}

/// What serves one environment, until it is gone.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
}

/// Serves wishes until the end; then waits for what it has started.
pub(super) async fn run(mut host: Host, mut wishes: mpsc::Receiver<BindWeb>) {
    let mut tasks = JoinSet::new();
    let mut served: HashMap<EnvironmentName, Served> = HashMap::new();
    loop {
        let wish = tokio::select! {
            wish = wishes.recv() => wish,
            () = host.stop.cancelled() => break,
        };
        let Some(BindWeb { environment, preferred, answer }) = wish else { break };
        forget_the_gone(&host.environments, &mut served);
        let bound = match served.get(&environment) {
            Some(served) => Ok(served.address),
            None => host.serve(&environment, preferred, &mut tasks).await.map(|new| {
                let address = new.address;
                served.insert(environment, new);
                address
            }),
        };
        // The environment was deleted while we were busy: nobody needs the answer.
        drop(answer.send(bound));
    }
    while tasks.join_next().await.is_some() {}
}

fn forget_the_gone(environments: &Environments, served: &mut HashMap<EnvironmentName, Served>) {
    served.retain(|name, served| {
        let stays = environments.get(name).is_some();
        if !stays {
            served.stop.cancel();
        }
        stays
    });
}

impl Host {
    async fn serve(
        &mut self,
        environment: &EnvironmentName,
        preferred: Option<SocketAddr>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Served> {
        let listener = match self.first.take() {
            Some(listener) => listener,
            None => self.bind(preferred).await?,
        };
        let address = listener.local_addr()?;
        let stop = self.stop.child_token();
        let delivery = self.deliver(environment).await?;
        tasks.spawn(delivery.run(stop.clone()));
        let server = WebServer::new(
            environment.clone(),
            self.environments.clone(),
            self.rooms.tokens.clone(),
            Arc::clone(&self.rooms.runtime),
        );
        let front = Front {
            name: environment.to_string(),
            tls: Some(self.tls.clone()),
            door: Door::new(address),
            handler: Arc::new(move |request| {
                let server = server.clone();
                Box::pin(async move { server.call(request).await })
            }),
        };
        tasks.spawn(gateway::serve(listener, front, stop.clone()));
        Ok(Served { address, stop })
    }

    /// Fills the environment's dags directory, before anything reads it.
    async fn deliver(&self, environment: &EnvironmentName) -> io::Result<Delivery> {
        let Some(described) = self.environments.get(environment) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the environment is gone"));
        };
        let delivery = Delivery::new(
            environment.clone(),
            described.spec.bucket,
            described.spec.dag_path,
            self.home.join(environment.as_str()).join("dags"),
            self.rooms.objects.clone(),
            self.rooms.db.clone(),
            Arc::clone(&self.rooms.runtime),
            self.sync_interval,
        );
        delivery.sync_once().await.map_err(io::Error::other)?;
        // Nobody may be at the terminal.
        drop(self.note.send(Note::Delivering(environment.clone())));
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
