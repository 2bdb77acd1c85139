//! One task per environment: it owns the phase, starts the work that moves it, and never waits for that work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::launch::{self, Launch, causes};
use super::phase::{Effect, Fact, Fault, Life, Phase, Refused, Request, Step};
use super::store::{self, Record};
use super::{Ask, Environment, Register, RequestError, Serve, Spec, Status, Surroundings, Wish};
use crate::db::Event;
use crate::id::{self, EnvironmentName, LaunchId};
use crate::limits::{
    LAUNCH_FACTS_KEPT, PERSIST_RETRY_SECONDS, RECOVERY_WAIT_MAX_SECONDS, RECOVERY_WAIT_SECONDS,
    STOP_GRACE_SECONDS,
};
use crate::runtime::{self, Replacement, Report, Secrets};

/// What a driver shares with the room.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) around: Arc<Surroundings>,
    pub(super) all: Register,
    pub(super) reports: broadcast::Sender<(EnvironmentName, Report)>,
    pub(super) stop: CancellationToken,
    pub(super) see: watch::Sender<Option<Environment>>,
}

/// Where a driver begins.
#[derive(Debug)]
pub(super) enum Start {
    Create(Box<Spec>),
    Reopen(Box<Record>),
}

/// The end of a piece of work.
#[derive(Debug)]
enum End {
    /// The web server's listener and the DAGs are there, and the launch that waited for them can go on.
    Served(Due, SocketAddr),
    Fact(Fact),
}

/// A launch that waits for its web server's listener.
#[derive(Debug)]
struct Due {
    launch: LaunchId,
    spec: Box<Spec>,
    replacement: Replacement,
}

/// What the loop owns.
struct State {
    record: Record,
    underway: JoinSet<End>,
    /// What a launch has to say on its way.
    tell: mpsc::Sender<Fact>,
    told: mpsc::Receiver<Fact>,
    recovery: Recovery,
}

/// When to launch again what was lost. Nothing says when its cause is gone (a full disk, a killer), so it is tried,
/// less and less often.
#[derive(Debug, Default)]
struct Recovery {
    due: Option<Instant>,
    failures: u32,
}

impl Recovery {
    fn plan(&mut self) {
        let doubled = RECOVERY_WAIT_SECONDS.saturating_mul(1 << self.failures.min(20));
        let wait = Duration::from_secs(doubled.min(RECOVERY_WAIT_MAX_SECONDS));
        self.failures += 1;
        self.due = Some(Instant::now() + wait);
    }

    async fn due(at: Option<Instant>) {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

impl Driver {
    /// Lives as long as the environment, or until windtunnel stops. Answers `ready` once the first row is on disk.
    pub(super) async fn run(
        self,
        start: Start,
        mut asks: mpsc::Receiver<Ask>,
        ready: oneshot::Sender<Result<(), RequestError>>,
    ) {
        let (mut state, effect) = self.begin(start);
        let name = state.record.life.spec.name.clone();
        if let Err(error) = self.persist(&state.record).await {
            self.all.leave(&name);
            drop(ready.send(Err(error.into())));
            return;
        }
        self.publish(&state.record);
        drop(ready.send(Ok(())));
        self.perform(&mut state, effect);
        let mut life = self.around.runtime.life(&name);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(ask) = asks.recv() => self.answer(&mut state, ask).await,
                Some(end) = state.underway.join_next() => {
                    self.conclude(&mut state, end.expect("work reports failure, it does not panic")).await;
                }
                Some(fact) = state.told.recv() => self.observe(&mut state, fact).await,
                () = Recovery::due(state.recovery.due) => self.recover(&mut state).await,
                changed = life.changed() => if changed.is_err() {
                    break;
                },
            }
            // A fresh look after every wake-up: the loss may have been there before the launch was known to be done.
            let lost = lost(&life.borrow_and_update());
            if let Some(fact) = lost {
                self.observe(&mut state, fact).await;
            }
            if state.record.life.phase == Phase::Deleted {
                self.all.leave(&name);
                self.see.send_replace(None);
                return;
            }
        }
        // Dropping a launch leaves nothing running; what runs already is stopped here.
        state.underway.shutdown().await;
        self.around.runtime.stop(&name, Duration::from_secs(STOP_GRACE_SECONDS)).await;
    }

    fn begin(&self, start: Start) -> (State, Option<Effect>) {
        let (record, effect) = match start {
            Start::Create(spec) => {
                let (life, effect) = Life::begin(*spec, self.around.clock.now());
                let queue = format!("airflow-celery-{}", uuid::Uuid::new_v4());
                (Record { life, queue, secrets: new_secrets(), web: None }, effect)
            }
            Start::Reopen(record) => {
                let (life, effect) = record.life.clone().reopened();
                (Record { life, ..*record }, effect)
            }
        };
        let (tell, told) = mpsc::channel(LAUNCH_FACTS_KEPT);
        let (underway, recovery) = (JoinSet::new(), Recovery::default());
        (State { record, underway, tell, told, recovery }, effect)
    }

    async fn answer(&self, state: &mut State, ask: Ask) {
        let Ask { request, answer } = ask;
        let outcome = match state.record.life.request(request, self.around.clock.now()) {
            Ok(step) => self.settle(state, step).await.map_err(RequestError::from),
            Err(Refused::Now { verb, status }) => {
                let name = state.record.life.spec.name.clone();
                Err(RequestError::Refused { name, verb, status })
            }
            Err(Refused::NeverForced) => {
                Err(RequestError::NeverForced(state.record.life.spec.name.clone()))
            }
        };
        // Who asked may be gone; the step is taken all the same.
        drop(answer.send(outcome));
    }

    async fn conclude(&self, state: &mut State, end: End) {
        match end {
            End::Served(due, web) => {
                if state.record.web != Some(web) {
                    state.record.web = Some(web);
                    self.persist_patiently(&state.record).await;
                }
                self.publish(&state.record);
                let work = self.launch(state, web, due);
                state.underway.spawn(async move { End::Fact(work.run().await) });
            }
            End::Fact(fact) => {
                if let Fact::LaunchFailed { fault: Fault { code, message }, .. } = &fact {
                    let environment = state.record.life.spec.name.as_str();
                    tracing::warn!(environment, code, message, "the launch failed");
                }
                self.observe(state, fact).await;
            }
        }
    }

    async fn observe(&self, state: &mut State, fact: Fact) {
        let failed = matches!(fact, Fact::Lost(..) | Fact::LaunchFailed { .. });
        let (life, effect) = state.record.life.observe(fact, self.around.clock.now());
        if life == state.record.life && effect.is_none() {
            return;
        }
        state.record.life = life;
        let status = state.record.life.phase.status();
        if failed && status == Status::Unavailable {
            state.recovery.plan();
        } else if status.is_usable() {
            state.recovery = Recovery::default();
        }
        self.persist_patiently(&state.record).await;
        self.publish(&state.record);
        self.perform(state, effect);
    }

    /// Launches again what was lost.
    async fn recover(&self, state: &mut State) {
        state.recovery.due = None;
        let now = self.around.clock.now();
        // Refused where somebody else was faster: then it is being launched already.
        let Ok(step) = state.record.life.request(Request::Resume(None), now) else { return };
        if let Err(error) = self.settle(state, step).await {
            let environment = state.record.life.spec.name.as_str();
            tracing::error!(environment, %error, "cannot write that the environment is launched again");
            state.recovery.plan();
        }
    }

    /// Takes a step that was asked for: on disk first, or not at all.
    async fn settle(&self, state: &mut State, (life, effect): Step) -> rusqlite::Result<()> {
        let next = Record { life, ..state.record.clone() };
        if next.life != state.record.life {
            self.persist(&next).await?;
            state.record = next;
            self.publish(&state.record);
        }
        self.perform(state, effect);
        Ok(())
    }

    fn perform(&self, state: &mut State, effect: Option<Effect>) {
        match effect {
            None => {}
            Some(Effect::Launch { launch, spec, replacement }) => {
                let around = Arc::clone(&self.around);
                let due = Due { launch, spec, replacement };
                state.underway.spawn(prepare(around, state.record.web, due));
            }
            Some(Effect::Adjust { live, spec: _ }) => {
                // The numbers are those of the autoscaler, which looks them up.
                state.underway.spawn(async move { End::Fact(Fact::Adjusted(live)) });
            }
            Some(Effect::Return { live, spec }) => {
                let around = Arc::clone(&self.around);
                let web = state.record.web;
                state.underway.spawn(async move {
                    let fault = serve(&around, web, &spec).await.err();
                    End::Fact(Fact::Returned(live, fault))
                });
            }
            Some(Effect::Remove) => {
                let around = Arc::clone(&self.around);
                let name = state.record.life.spec.name.clone();
                let queue = state.record.queue.clone();
                state
                    .underway
                    .spawn(async move { End::Fact(launch::remove(&around, &name, queue).await) });
            }
        }
    }

    fn launch(&self, state: &State, web: SocketAddr, due: Due) -> Launch {
        let Due { launch, spec, replacement } = due;
        Launch {
            around: Arc::clone(&self.around),
            reports: self.reports.clone(),
            tell: state.tell.clone(),
            id: launch,
            spec: *spec,
            replacement,
            queue: state.record.queue.clone(),
            secrets: state.record.secrets.clone(),
            web,
        }
    }

    /// Row and event in one transaction.
    async fn persist(&self, record: &Record) -> rusqlite::Result<()> {
        let record = record.clone();
        let event = Event::EnvironmentChanged {
            environment: record.life.spec.name.clone(),
            status: record.life.phase.status().name().to_owned(),
        };
        self.around
            .db
            .write(move |tx| {
                if record.life.phase == Phase::Deleted {
                    store::remove(tx, &record.life.spec.name)?;
                } else {
                    store::put(tx, &record)?;
                }
                tx.announce(event);
                Ok(())
            })
            .await
    }

    /// A fact cannot be refused, so it is written as soon as the disk lets it be. It is true before that, and who
    /// waits for it hears of it at once; should we end before there is room, the next start finds out again.
    async fn persist_patiently(&self, record: &Record) {
        while let Err(error) = self.persist(record).await {
            let environment = record.life.spec.name.as_str();
            tracing::error!(environment, %error, "cannot write the environment's state; trying again");
            self.publish(record);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(PERSIST_RETRY_SECONDS)) => {}
            }
        }
    }

    fn publish(&self, record: &Record) {
        let Record { life, queue, web, .. } = record;
        self.see.send_replace(Some(Environment {
            spec: life.spec.clone(),
            status: life.phase.status(),
            created: life.created,
            last_update: life.last_update.clone(),
            web: *web,
            queue: queue.clone(),
        }));
    }
}

fn lost(life: &runtime::Life) -> Option<Fact> {
    match life {
        runtime::Life::Lost { launch, why } => Some(Fact::Lost(*launch, why.clone())),
        runtime::Life::Stopped | runtime::Life::Running(_) => None,
    }
}

/// Has everything of a launch put in place that the runtime does not do itself.
async fn prepare(around: Arc<Surroundings>, preferred: Option<SocketAddr>, due: Due) -> End {
    match serve(&around, preferred, &due.spec).await {
        Ok(web) => End::Served(due, web),
        Err(fault) => {
            let still = launch::running(&*around.runtime, &due.spec.name);
            End::Fact(Fact::LaunchFailed { launch: due.launch, fault, still })
        }
    }
}

/// Has the web server's listener bound and the DAGs of `spec` put in place, and says where the listener is.
async fn serve(
    around: &Surroundings,
    preferred: Option<SocketAddr>,
    spec: &Spec,
) -> Result<SocketAddr, Fault> {
    let (answer, answered) = oneshot::channel();
    let wish = Wish::Serve(Serve {
        environment: spec.name.clone(),
        bucket: spec.bucket.clone(),
        dag_path: spec.dag_path.clone(),
        preferred,
        answer,
    });
    let served = match around.wishes.send(wish).await {
        Ok(()) => {
            answered.await.unwrap_or_else(|_| Err(std::io::Error::other("windtunnel is stopping")))
        }
        Err(_) => Err(std::io::Error::other("windtunnel is stopping")),
    };
    served.map_err(|error| {
        let message = format!("cannot make the web server ready: {}", causes(&error));
        Fault { code: "WEB_SERVER_NOT_READY", message }
    })
}

/// Secrets are made once per environment: a new one would break its connections, sessions or tasks.
fn new_secrets() -> Secrets {
    Secrets {
        fernet_key: URL_SAFE.encode(rand::random::<[u8; 32]>()),
        web_secret_key: id::random_text(64),
        proxy_secret: id::random_text(48),
    }
}
