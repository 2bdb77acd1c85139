//! Keeps what was started running: a task per component, one for the interpreter and one for the database.
//!
//! Each task owns its process and learns of its end at once. What ends unexpectedly is started again, after a wait
//! that doubles while it keeps ending. If interpreter or database cannot be kept, the environment is lost.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::interpreter::{self, Difference, Interpreter, Started};
use super::ledger::Ledger;
use super::workers::{self, Crew, Seats};
use crate::airflow::{Component, Start};
use crate::limits;
use crate::runtime::{ComponentState, Life};

/// One component's plan.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) component: Component,
    pub(super) start: Start,
    pub(super) log: PathBuf,
    pub(super) env: Difference,
}

/// What tasks and verbs both look at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) socket: PathBuf,
    pub(super) ledger: Ledger,
    states: Mutex<Vec<ComponentState>>,
    web: Mutex<Option<SocketAddr>>,
    /// Components, then interpreter.
    pub(super) stop: CancellationToken,
    /// The launch makes way for the next one: its workers finish what they run, and nothing of it is started again.
    pub(super) parting: CancellationToken,
    pub(super) seats: Seats,
    /// Why the interpreter cannot be kept.
    lost: watch::Sender<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept in them is replaced whole, so a panic elsewhere leaves no half-written value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// `web` is where the web server will be, where that is known before it is started.
    pub(super) fn new(
        start: &interpreter::Start,
        parts: &[Part],
        web: Option<SocketAddr>,
        seats: Seats,
    ) -> Shared {
        let states = parts.iter().map(|part| ComponentState {
            component: part.component,
            number: None,
            leaving: false,
            pid: None,
            restarts: 0,
            log: part.log.clone(),
        });
        let stop = CancellationToken::new();
        Shared {
            socket: start.socket.clone(),
            ledger: start.ledger.clone(),
            states: Mutex::new(states.collect()),
            web: Mutex::new(web),
            parting: stop.child_token(),
            stop,
            seats,
            lost: watch::Sender::new(None),
        }
    }

    /// Of every component of the launch, workers included.
    pub(super) fn states(&self) -> Vec<ComponentState> {
        let mut states = lock(&self.states).clone();
        states.extend(self.seats.states());
        states
    }

    pub(super) fn web(&self) -> Option<SocketAddr> {
        *lock(&self.web)
    }

    fn change(&self, component: Component, change: impl FnOnce(&mut ComponentState)) {
        let mut states = lock(&self.states);
        if let Some(state) = states.iter_mut().find(|state| state.component == component) {
            change(state);
        }
    }
}

/// Everything that runs of one launch. Dropping it ends it all, in good order, in a task of the ledger.
#[derive(Debug)]
pub(super) struct Keepers {
    pub(super) shared: Arc<Shared>,
    tasks: Tasks,
    /// It goes last: the others want it until their end, and launches that overlap share it.
    database: Option<Arc<Database>>,
}

#[derive(Debug, Default)]
struct Tasks {
    components: JoinSet<()>,
    servers: JoinSet<()>,
    workers: JoinSet<()>,
    interpreter: JoinSet<()>,
}

impl Keepers {
    pub(super) fn new(shared: Arc<Shared>) -> Keepers {
        Keepers { shared, tasks: Tasks::default(), database: None }
    }

    pub(super) fn keep_database(&mut self, database: Arc<Database>) {
        self.database = Some(database);
    }

    /// For a launch that follows while workers of this one still want it.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.database.clone()
    }

    pub(super) fn keep_interpreter(&mut self, running: Interpreter, start: interpreter::Start) {
        let shared = Arc::clone(&self.shared);
        self.tasks.interpreter.spawn(keep_interpreter(shared, running, start));
    }

    pub(super) fn keep_component(&mut self, part: Part) {
        let shared = Arc::clone(&self.shared);
        if matches!(part.start, Start::Server(_)) {
            // Tasks talk to the server that they began with, so it stays as long as they do.
            let until = self.shared.stop.clone();
            self.tasks.servers.spawn(keep_component(shared, part, until));
        } else {
            let until = self.shared.parting.clone();
            self.tasks.components.spawn(keep_component(shared, part, until));
        }
    }

    pub(super) fn keep_workers(&mut self, crew: Crew) {
        self.tasks.workers.spawn(workers::keep(Arc::clone(&self.shared), crew));
    }

    /// Tells `life` if the environment is lost, until the launch ends or makes way.
    pub(super) fn tell_loss(&mut self, life: watch::Sender<Life>, launch: crate::id::LaunchId) {
        let Some(database) = &self.database else { return };
        let (mut interpreter, mut database) = (self.shared.lost.subscribe(), database.lost());
        let parting = self.shared.parting.clone();
        self.tasks.components.spawn(async move {
            let why = tokio::select! {
                Ok(why) = interpreter.wait_for(Option::is_some) => why.clone(),
                Ok(why) = database.wait_for(Option::is_some) => why.clone(),
                () = parting.cancelled() => return,
            };
            life.send_replace(Life::Lost { launch, why: why.unwrap_or_default() });
        });
    }

    /// Stops everything, in order; what is left after `grace` is killed.
    pub(super) async fn stop(mut self, grace: Duration) {
        let end = self.end(grace);
        self.shared.ledger.see_out(end).await;
    }

    /// Stops everything but workers that run something, and returns once that is done. They take no more work.
    pub(super) async fn part(mut self) -> Parting {
        self.shared.seats.dissolve();
        self.shared.parting.cancel();
        let ended = async { while self.tasks.components.join_next().await.is_some() {} };
        // The interpreter kills what does not end; this only guards against a hanging task.
        if tokio::time::timeout(STOP_GRACE * 2, ended).await.is_err() {
            self.tasks.components.shutdown().await;
        }
        Parting(self)
    }

    fn end(&mut self, grace: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (tasks, database) = (std::mem::take(&mut self.tasks), self.database.take());
        let shared = Arc::clone(&self.shared);
        async move {
            tasks.stop(shared, grace).await;
            // Unless another launch has it too.
            if let Some(database) = database.and_then(Arc::into_inner) {
                database.stop().await;
            }
        }
    }
}

impl Drop for Keepers {
    fn drop(&mut self) {
        if self.database.is_some() {
            let end = self.end(DROPPED_GRACE);
            self.shared.ledger.see_off(end);
        }
    }
}

/// A launch that has made way for the next one, but for the tasks that its workers still run.
#[derive(Debug)]
pub(super) struct Parting(Keepers);

impl Parting {
    /// Returns when the last worker has left and nothing of the launch runs; ends it by force once `force` is cancelled.
    pub(super) async fn over(mut self, force: CancellationToken) {
        tokio::select! {
            () = async { while self.0.tasks.workers.join_next().await.is_some() {} } => {}
            () = force.cancelled() => {}
        }
        self.0.stop(DROPPED_GRACE).await;
    }
}

impl Tasks {
    async fn stop(mut self, shared: Arc<Shared>, grace: Duration) {
        shared.stop.cancel();
        let ended = async {
            while self.components.join_next().await.is_some() {}
            while self.servers.join_next().await.is_some() {}
            while self.workers.join_next().await.is_some() {}
            while self.interpreter.join_next().await.is_some() {}
        };
        // The interpreter kills what is left after its own grace; this only guards against a hanging task.
        if tokio::time::timeout(grace + Duration::from_secs(15), ended).await.is_err() {
            tracing::warn!("components did not stop in time");
            self.components.shutdown().await;
            self.servers.shutdown().await;
            self.workers.shutdown().await;
            self.interpreter.shutdown().await;
        }
        shared.ledger.forget();
    }
}

/// What a launch that is given up may take to end.
const DROPPED_GRACE: Duration = Duration::from_secs(5);

/// Waits between starts: none the first time, then doubling, forgiven after a long run.
#[derive(Debug, Default)]
pub(super) struct Patience {
    ends_in_a_row: u32,
}

impl Patience {
    /// After an end that followed a run of `ran`: how long to wait before the next start.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= Duration::from_secs(limits::RESTART_FORGIVEN_AFTER_SECONDS) {
            self.ends_in_a_row = 0;
        }
        self.ends_in_a_row += 1;
        let doublings = self.ends_in_a_row.saturating_sub(2).min(10);
        match self.ends_in_a_row {
            1 => Duration::ZERO,
            _ => Duration::from_secs((1 << doublings).min(limits::RESTART_WAIT_MAX_SECONDS)),
        }
    }

    pub(super) fn spent(&self) -> bool {
        self.ends_in_a_row > limits::RESTARTS_BEFORE_LOST
    }
}

async fn keep_component(shared: Arc<Shared>, part: Part, until: CancellationToken) {
    let mut patience = Patience::default();
    loop {
        let began = Instant::now();
        let wish = wish(&shared, &part);
        let end = match interpreter::component(&shared.socket, &wish).await {
            Ok(started) => match run_component(&shared, (&part, &until), started).await {
                Some(end) => end,
                None => return,
            },
            Err(error) => error.to_string(),
        };
        let wait = patience.after(began.elapsed());
        tracing::warn!(
            component = part.component.name(),
            end,
            ?wait,
            "a component ended; it is started again"
        );
        shared.change(part.component, |state| {
            state.pid = None;
            state.restarts += 1;
        });
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Until it ends, which is told, or is stopped: `None`.
async fn run_component(
    shared: &Shared,
    (part, until): (&Part, &CancellationToken),
    mut started: Started,
) -> Option<String> {
    shared.ledger.started(Some(started.pid));
    shared.change(part.component, |state| state.pid = Some(started.pid));
    tokio::select! {
        end = started.ended() => Some(match end {
            Ok(exit) => exit.to_string(),
            Err(_) => "it ended together with the interpreter".to_owned(),
        }),
        () = until.cancelled() => {
            if let Err(error) = started.stop(STOP_GRACE).await {
                tracing::debug!(component = part.component.name(), %error, "it was gone already");
            }
            None
        }
    }
}

/// What a component may take to end by itself. A running task is not waited for: Celery gives it back.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(8);

fn wish(shared: &Shared, part: &Part) -> interpreter::Component {
    let (argv, call) = match part.start {
        Start::Airflow(words) => (words.iter().map(|word| (*word).to_owned()).collect(), None),
        Start::Listener(call) => {
            // A fresh port each time: somebody may have taken the last one meanwhile.
            let address = free_address();
            *lock(&shared.web) = address;
            let number = address.map_or(0, |free| free.port()).to_string();
            (vec![Ipv4Addr::LOCALHOST.to_string(), number], Some(call))
        }
        Start::Server(call) => (Vec::new(), Some(call)),
    };
    interpreter::Component { argv, call, log: part.log.clone(), env: part.env.clone() }
}

pub(super) fn free_address() -> Option<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).ok()
}

async fn keep_interpreter(shared: Arc<Shared>, running: Interpreter, start: interpreter::Start) {
    let mut running = running;
    let mut patience = Patience::default();
    loop {
        let began = Instant::now();
        let mut end = tokio::select! {
            end = running.ended() => end,
            () = shared.stop.cancelled() => {
                running.stop(STOP_GRACE + Duration::from_secs(2)).await;
                return;
            }
        };
        running = loop {
            let wait = patience.after(began.elapsed());
            if shared.parting.is_cancelled() {
                // The workers that it was kept for ended with it.
                tracing::warn!(end, "the interpreter of an earlier launch ended");
                return;
            }
            tracing::error!(end, ?wait, "the interpreter ended; it is started again");
            if patience.spent() {
                shared.lost.send_replace(Some(format!("its interpreter keeps ending ({end})")));
                return;
            }
            tokio::select! {
                () = shared.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let started = tokio::select! {
                () = shared.stop.cancelled() => return,
                started = Interpreter::start(&start) => started,
            };
            match started {
                Ok(started) => break started,
                Err(error) => end = error.to_string(),
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_is_forgiven_and_the_next_ones_wait_longer() {
        let mut patience = Patience::default();
        let short = Duration::from_secs(1);
        let waits: Vec<u64> = (0..8).map(|_| patience.after(short).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert!(patience.spent());
        assert_eq!(patience.after(Duration::from_secs(61)), Duration::ZERO);
        assert!(!patience.spent());
    }
}
