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
    leave: Mutex<Tokens>,
}

/// By number: cancelled when that worker is to leave.
type Tokens = BTreeMap<u32, CancellationToken>;

impl Seats {
    pub(super) fn new(launch: LaunchId, wanted: u32, all: watch::Sender<Vec<Worker>>) -> Seats {
        Seats { launch, all, wanted: watch::Sender::new(wanted), leave: Mutex::default() }
    }

    /// Tells some to leave, and says how many others there are to be at least.
    pub(super) fn scale(&self, workers: u32, leaving: &[ReceiverName]) {
        let tokens = self.tokens();
        self.tell_to_leave(&tokens, |worker| leaving.contains(&worker.id));
        self.wanted.send_replace(workers);
    }

    /// Tells all to leave; nobody takes their places.
    pub(super) fn dissolve(&self) {
        let tokens = self.tokens();
        self.wanted.send_replace(0);
        self.tell_to_leave(&tokens, |_| true);
    }

    /// As components of `status`.
    pub(super) fn states(&self) -> Vec<ComponentState> {
        let all = self.all.borrow();
        all.iter().filter(|worker| worker.launch == self.launch).map(state).collect()
    }

    fn tell_to_leave(&self, tokens: &Tokens, who: impl Fn(&Worker) -> bool) {
        let mut told = Vec::new();
        self.all.send_if_modified(|all| {
            let mine = all.iter_mut().filter(|worker| worker.launch == self.launch);
            for worker in mine.filter(|worker| !worker.leaving && who(worker)) {
                worker.leaving = true;
                told.push(worker.number);
            }
            !told.is_empty()
        });
        for number in told {
            if let Some(token) = tokens.get(&number) {
                token.cancel();
            }
        }
    }

    /// Held over every decision about who stays and who comes: what is wanted, who is there and who can be told to
    /// leave change together.
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
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
    fn take(shared: &Arc<Shared>, crew: &Crew) -> Option<Seat> {
        let seats = &shared.seats;
        let mut tokens = seats.tokens();
        let wanted = *seats.wanted.borrow();
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
        tokens.insert(number, leave.clone());
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
        wanted.mark_unchanged();
        while let Some(seat) = Seat::take(&shared, &crew) {
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

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::ledger;
    use super::*;
    use crate::airflow::Component;

    fn shared(folder: &std::path::Path, wanted: u32) -> (Arc<Shared>, Crew) {
        let start = interpreter::Start {
            python: "python3".into(),
            code: folder.to_owned(),
            recipe: "none",
            socket: folder.join("z1"),
            home: folder.to_owned(),
            log: folder.join("log"),
            environment: settings::Variables::new(),
            ledger: ledger(folder),
        };
        let seats = Seats::new(LaunchId(1), wanted, watch::Sender::default());
        let part = Part {
            component: Component::Worker,
            start: Start::Airflow(&[]),
            log: folder.join("worker.log"),
            env: interpreter::Difference::new(),
        };
        let (queue_name, queue_url) = ("queue".to_owned(), "http://localhost/queue".to_owned());
        let crew = Crew { part, slots: 1, queue_name, queue_url };
        (Arc::new(Shared::new(&start, &[], None, seats)), crew)
    }

    #[test]
    fn nobody_comes_once_fewer_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, crew) = shared(folder.path(), 2);
        let mut seats: Vec<Seat> = std::iter::from_fn(|| Seat::take(&shared, &crew)).collect();
        assert_eq!(seats.len(), 2);
        let first = shared.seats.all.borrow()[0].id.clone();
        shared.seats.scale(1, &[first]);
        assert!(Seat::take(&shared, &crew).is_none());
        assert!(seats[0].leave.is_cancelled() && !seats[1].leave.is_cancelled());
        seats.remove(0);
        assert!(Seat::take(&shared, &crew).is_none());
        shared.seats.dissolve();
        assert!(seats[0].leave.is_cancelled());
        assert!(Seat::take(&shared, &crew).is_none());
    }

    #[test]
    fn whoever_comes_while_all_are_told_to_leave_is_told_too() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..200 {
            let (shared, crew) = shared(folder.path(), 8);
            let coming = Arc::clone(&shared);
            let coming = std::thread::spawn(move || {
                std::iter::from_fn(|| Seat::take(&coming, &crew)).collect::<Vec<Seat>>()
            });
            shared.seats.dissolve();
            let came = coming.join().unwrap();
            assert!(came.iter().all(|seat| seat.leave.is_cancelled()), "{came:?}");
            assert!(shared.seats.all.borrow().iter().all(|worker| worker.leaving));
        }
    }
}
