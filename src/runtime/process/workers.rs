//! The Celery workers of one launch: as many as are wanted, each started again when it ends, until it is told to leave.
//!
//! A worker that is told to leave takes no more work, finishes what it runs, and ends by itself (Celery's warm
//! shutdown). Who leaves is decided elsewhere, by who has nothing to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::interpreter::{self, Started};
use super::supervise::{Part, Patience, STOP_GRACE, Shared};
use crate::airflow::{Start, settings};
use crate::id::{LaunchId, ReceiverName};
use crate::limits;
use crate::runtime::{ComponentState, Worker};

/// What every worker of a launch is started with.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    pub(super) part: Part,
    /// Tasks that each runs at once.
    pub(super) slots: u32,
    pub(super) queue_name: String,
    pub(super) queue_url: String,
}

/// The places of one launch's workers, among those of all launches of the environment.
#[derive(Debug)]
pub(super) struct Seats {
    launch: LaunchId,
    all: watch::Sender<Vec<Worker>>,
    wanted: watch::Sender<u32>,
    /// By number: cancelled when that worker is to leave.
    leave: Mutex<BTreeMap<u32, CancellationToken>>,
}

impl Seats {
    pub(super) fn new(launch: LaunchId, wanted: u32, all: watch::Sender<Vec<Worker>>) -> Seats {
        Seats { launch, all, wanted: watch::Sender::new(wanted), leave: Mutex::default() }
    }

    /// Tells some to leave, and says how many others there are to be at least.
    pub(super) fn scale(&self, workers: u32, leaving: &[ReceiverName]) {
        self.tell_to_leave(|worker| leaving.contains(&worker.id));
        self.wanted.send_replace(workers);
    }

    /// Tells all to leave; nobody takes their places.
    pub(super) fn dissolve(&self) {
        self.wanted.send_replace(0);
        self.tell_to_leave(|_| true);
    }

    /// As components of `status`.
    pub(super) fn states(&self) -> Vec<ComponentState> {
        let all = self.all.borrow();
        all.iter().filter(|worker| worker.launch == self.launch).map(state).collect()
    }

    fn tell_to_leave(&self, who: impl Fn(&Worker) -> bool) {
        let mut told = Vec::new();
        self.all.send_if_modified(|all| {
            let mine = all.iter_mut().filter(|worker| worker.launch == self.launch);
            for worker in mine.filter(|worker| !worker.leaving && who(worker)) {
                worker.leaving = true;
                told.push(worker.number);
            }
            !told.is_empty()
        });
        let tokens = self.tokens();
        for number in told {
            if let Some(token) = tokens.get(&number) {
                token.cancel();
            }
        }
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<u32, CancellationToken>> {
        self.leave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker as a component.
pub(super) fn state(worker: &Worker) -> ComponentState {
    ComponentState {
        component: crate::airflow::Component::Worker,
        number: Some(worker.number),
        leaving: worker.leaving,
        pid: worker.pid,
        restarts: worker.restarts,
        log: worker.log.clone(),
    }
}

/// One worker's place. It is free again when this is dropped.
#[derive(Debug)]
struct Seat {
    shared: Arc<Shared>,
    number: u32,
    leave: CancellationToken,
}

impl Seat {
    /// The lowest free place, unless there are enough workers that stay.
    fn take(shared: &Arc<Shared>, crew: &Crew, wanted: u32) -> Option<Seat> {
        let seats = &shared.seats;
        let mut taken = None;
        seats.all.send_if_modified(|all| {
            let staying = all.iter().filter(|w| w.launch == seats.launch && !w.leaving).count();
            if staying >= wanted as usize {
                return false;
            }
            let number = (1..=u32::MAX).find(|number| all.iter().all(|w| w.number != *number));
            let number = number.expect("there are fewer workers than numbers");
            all.push(Worker {
                id: ReceiverName::unique(&format!("worker-{number}")),
                launch: seats.launch,
                number,
                slots: crew.slots,
                leaving: false,
                pid: None,
                restarts: 0,
                log: crew.part.log.with_file_name(format!("worker-{number}.log")),
            });
            all.sort_by_key(|worker| worker.number);
            taken = Some(number);
            true
        });
        let number = taken?;
        let leave = CancellationToken::new();
        seats.tokens().insert(number, leave.clone());
        Some(Seat { shared: Arc::clone(shared), number, leave })
    }

    fn change(&self, change: impl FnOnce(&mut Worker)) {
        self.shared.seats.all.send_modify(|all| {
            if let Some(worker) = all.iter_mut().find(|worker| worker.number == self.number) {
                change(worker);
            }
        });
    }

    /// What the worker of now is started with.
    fn wish(&self, crew: &Crew) -> interpreter::Component {
        let all = self.shared.seats.all.borrow();
        let worker = all.iter().find(|worker| worker.number == self.number);
        let worker = worker.expect("it is there as long as its seat");
        let mut argv: Vec<String> = match crew.part.start {
            Start::Airflow(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Start::Listener(_) | Start::Server(_) => Vec::new(),
        };
        let (hostname, host) = settings::hostname(&worker.name());
        argv.extend(["--celery-hostname".to_owned(), format!("celery@{host}")]);
        // The queue knows by it who takes a message.
        let url = format!("{}?receiver={}", crew.queue_url, worker.id);
        let (queues, urls) = settings::queues(&crew.queue_name, &url);
        let mut env = crew.part.env.clone();
        env.extend([(hostname.to_owned(), Some(host)), (queues.to_owned(), Some(urls))]);
        interpreter::Component { argv, call: None, log: worker.log.clone(), env }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.seats.tokens().remove(&self.number);
        let number = self.number;
        self.shared.seats.all.send_modify(|all| all.retain(|worker| worker.number != number));
    }
}

/// Keeps as many workers as are wanted, until all is to stop or, once the launch makes way, the last one has left.
pub(super) async fn keep(shared: Arc<Shared>, crew: Crew) {
    let crew = Arc::new(crew);
    let mut wanted = shared.seats.wanted.subscribe();
    let mut workers = JoinSet::new();
    loop {
        let target = *wanted.borrow_and_update();
        while let Some(seat) = Seat::take(&shared, &crew, target) {
            workers.spawn(keep_one(seat, Arc::clone(&crew)));
        }
        let parted = shared.parting.is_cancelled();
        if parted && workers.is_empty() {
            return;
        }
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = shared.parting.cancelled(), if !parted => {}
            Some(_) = workers.join_next() => {}
            Ok(()) = wanted.changed() => {}
        }
    }
    while workers.join_next().await.is_some() {}
}

async fn keep_one(seat: Seat, crew: Arc<Crew>) {
    let mut patience = Patience::default();
    loop {
        let began = Instant::now();
        let wish = seat.wish(&crew);
        let end = match interpreter::component(&seat.shared.socket, &wish).await {
            Ok(started) => match run(&seat, started).await {
                Some(end) => end,
                None => return,
            },
            Err(error) => error.to_string(),
        };
        let wait = patience.after(began.elapsed());
        tracing::warn!(worker = seat.number, end, ?wait, "a worker ended; it is started again");
        seat.change(|worker| {
            worker.id = ReceiverName::unique(&format!("worker-{}", worker.number));
            worker.pid = None;
            worker.restarts += 1;
        });
        tokio::select! {
            () = seat.shared.stop.cancelled() => return,
            () = seat.leave.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Until it ends without having been told to, which is told. `None` once it has left or was stopped.
async fn run(seat: &Seat, mut started: Started) -> Option<String> {
    let shared = &seat.shared;
    shared.ledger.started(Some(started.pid));
    seat.change(|worker| worker.pid = Some(started.pid));
    tokio::select! {
        end = started.ended() => return Some(end_of(end)),
        () = shared.stop.cancelled() => {}
        () = seat.leave.cancelled() => {
            // Beyond this its messages are others', and so are its tasks.
            let longest = Duration::from_secs(limits::CELERY_VISIBILITY_SECONDS.into());
            if started.tell_to_stop(longest).await.is_ok() {
                tokio::select! {
                    end = started.ended() => {
                        tracing::info!(worker = seat.number, end = end_of(end), "a worker left");
                        return None;
                    }
                    () = shared.stop.cancelled() => {}
                }
            }
        }
    }
    if let Err(error) = started.stop(STOP_GRACE).await {
        tracing::debug!(worker = seat.number, %error, "it was gone already");
    }
    None
}

fn end_of(end: std::io::Result<interpreter::Exit>) -> String {
    end.map_or_else(
        |_| "it ended together with the interpreter".to_owned(),
        |exit| exit.to_string(),
    )
}
