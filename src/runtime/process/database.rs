//! The database of an environment, kept running for as long as any of its launches wants it.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::postgres::{Files, Server};
use super::supervise::Patience;
use crate::airflow::settings::Variables;

/// A server that is started again when it ends. Dropping it stops it, in a task of the ledger.
#[derive(Debug)]
pub(super) struct Database {
    stop: CancellationToken,
    /// Why it cannot be kept.
    lost: watch::Sender<Option<String>>,
    task: JoinSet<()>,
    ledger: Ledger,
}

impl Database {
    /// Keeps a server that has just been started.
    pub(super) fn keep(server: Server, files: Files, marker: Variables) -> Database {
        let (stop, lost) = (CancellationToken::new(), watch::Sender::new(None));
        let ledger = files.ledger.clone();
        let mut task = JoinSet::new();
        task.spawn(keep(server, Keeping { files, marker, stop: stop.clone(), lost: lost.clone() }));
        Database { stop, lost, task, ledger }
    }

    /// Word of why it cannot be kept.
    pub(super) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
        self.ledger.forget();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut task = std::mem::take(&mut self.task);
        if !task.is_empty() {
            self.stop.cancel();
            let ledger = self.ledger.clone();
            self.ledger.see_off(async move {
                while task.join_next().await.is_some() {}
                ledger.forget();
            });
        }
    }
}

struct Keeping {
    files: Files,
    marker: Variables,
    stop: CancellationToken,
    lost: watch::Sender<Option<String>>,
}

async fn keep(server: Server, how: Keeping) {
    let Keeping { files, marker, stop, lost } = how;
    let mut server = server;
    let mut patience = Patience::default();
    loop {
        let began = Instant::now();
        let mut end = tokio::select! {
            end = server.ended() => end,
            () = stop.cancelled() => return server.stop().await,
        };
        server = loop {
            let wait: Duration = patience.after(began.elapsed());
            tracing::error!(end, ?wait, "the database ended; it is started again");
            if patience.spent() {
                lost.send_replace(Some(format!("its database keeps ending ({end})")));
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let started = tokio::select! {
                () = stop.cancelled() => return,
                started = files.start(&marker) => started,
            };
            match started {
                Ok(started) => break started,
                Err(error) => end = error.to_string(),
            }
        };
    }
}
