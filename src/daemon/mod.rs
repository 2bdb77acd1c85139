//! Builds each room once, owns the tasks, shuts down in reverse order.
//!
//! Promise: after [`Running::stop`] nothing of ours runs and nothing acknowledged is lost; a panic in any task ends
//! the whole in the same order. A half-alive supervisor is worse than none.

mod instance;
mod project;
mod vitals;
mod web;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::activity::Activity;
use crate::api::cloudwatch::CloudWatch;
use crate::api::cloudwatch_logs::CloudwatchLogs;
use crate::api::console::{self, Console};
use crate::api::mwaa::{self, Mwaa};
use crate::api::s3::S3;
use crate::api::sqs::Sqs;
use crate::clock::Clock;
use crate::config::{Addresses, AirflowRole, Config, Identity};
use crate::db::Db;
use crate::environment::{self, Environments};
use crate::gateway::tls::{self, Tls};
use crate::gateway::{self, Front, activity::Recorder, aws::Aws, door::Door};
use crate::id::EnvironmentName;
use crate::logs::Logs;
use crate::metrics::{self, Metrics};
use crate::objects::{self, Objects};
use crate::queues::{self, Queues};
use crate::runtime::process::{self, Processes};
use crate::runtime::{AwsAccess, Report, Runtime};
use crate::tokens::{self, Tokens};
use crate::{delivery, id, mirror};

pub use instance::{Instance, read as read_instance};
pub use project::Note;

/// A running windtunnel.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, with real ports.
    pub addresses: Addresses,
    pub environments: Environments,
    /// Cancelled when somebody asked for the end: `windtunnel down`, a panic.
    pub ending: CancellationToken,
    /// What launches say, from the very first on.
    pub reports: broadcast::Receiver<(EnvironmentName, Report)>,
    /// What the mirror and the deliveries have to say to a person.
    pub notes: mpsc::UnboundedReceiver<Note>,
    queues: Queues,
    logs: Logs,
    tasks: Tasks,
    instance: PathBuf,
}

#[derive(Debug, Default)]
struct Tasks {
    /// What feeds and shows environments: stops first.
    outer: CancellationToken,
    /// The AWS endpoint: Airflow's last acknowledgements go through it.
    aws: CancellationToken,
    running: JoinSet<()>,
}

/// Why windtunnel did not start. Nothing of it is running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot {verb} {path}")]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot open the database")]
    Database(#[from] crate::db::OpenError),
    #[error("cannot open the object store")]
    Objects(#[source] objects::ObjectError),
    #[error("cannot open the queues")]
    Queues(#[source] queues::QueueError),
    #[error("cannot open a socket on loopback for metrics")]
    Metrics(#[source] io::Error),
    #[error("cannot sign tokens in {state}", state = .0.display())]
    Tokens(PathBuf, #[source] tokens::OpenError),
    #[error("cannot serve TLS")]
    Tls(#[from] tls::TlsError),
    #[error("cannot clean up after the last run")]
    Sweep(#[source] io::Error),
    #[error("cannot read the project")]
    Mirror(#[from] mirror::MirrorError),
    #[error(transparent)]
    Environment(#[from] environment::RequestError),
}

/// Starts everything, and the launch of the project's environment; returns while that launch goes on.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let clock = Clock::system();
    instance::prepare(&config.state)?;
    let rooms = Rooms::open(&config, &clock).await?;
    let listeners = Listeners::bind(&config).await?;
    let addresses = listeners.addresses()?;
    let ips = [addresses.aws.ip(), addresses.console.ip(), addresses.web.ip()];
    let tls = tls::open(&config.state, &ips, &clock)?;
    let role = execution_role(&config);
    let (ask, wishes) = mpsc::channel(16);
    let environments = Environments::open(environment::Surroundings {
        db: rooms.db.clone(),
        clock: clock.clone(),
        objects: rooms.objects.clone(),
        queues: rooms.queues.clone(),
        logs: rooms.logs.clone(),
        runtime: Arc::clone(&rooms.runtime),
        home: config.state.join("environments"),
        aws: aws_access(&config, &role, addresses, &tls),
        aws_address: addresses.aws,
        statsd: rooms.metrics.statsd_address().map_err(StartError::Metrics)?,
        wishes: ask,
    })
    .await?;
    let reports = environments.reports();
    let (note, notes) = mpsc::unbounded_channel();
    let instance = Instance::new(&config, addresses);
    let tasks = Tasks::default();
    let mut house = House { config, clock: clock.clone(), rooms, environments, tls, note, tasks };
    let ending = CancellationToken::new();
    let aws = house.serve_aws(listeners.aws, addresses, role);
    let person = house.config.identities[0].clone();
    house.serve_console(
        listeners.console,
        console::Surroundings {
            clock: clock.clone(),
            activity: aws.recorder.activity.clone(),
            auth: house.config.auth,
            home: house.config.state.join("environments"),
            aws: Arc::new(move |service, request| {
                let (aws, person) = (aws.clone(), person.clone());
                Box::pin(async move { aws.call_for(person, &service, request).await })
            }),
            environments: house.environments.clone(),
            runtime: Arc::clone(&house.rooms.runtime),
            db: house.rooms.db.clone(),
            tokens: house.rooms.tokens.clone(),
            identity: house.config.identities[0].clone(),
            objects: house.rooms.objects.clone(),
            logs: house.rooms.logs.clone(),
            metrics: house.rooms.metrics.clone(),
            addresses,
            token: instance.token.clone(),
            ending: ending.clone(),
        },
    );
    house.serve_environments(listeners.web, wishes);
    house.measure();
    let instance = instance.write(&house.config.state)?;
    let started = house.start_project().await;
    let House { environments, tasks, rooms: Rooms { queues, logs, .. }, .. } = house;
    let running =
        Running { addresses, environments, ending, reports, notes, queues, logs, tasks, instance };
    if let Err(error) = started {
        running.stop().await;
        return Err(error);
    }
    info!(aws = %running.addresses.aws, console = %running.addresses.console, "started");
    Ok(running)
}

/// What `start` has put together so far.
struct House {
    config: Config,
    clock: Clock,
    rooms: Rooms,
    environments: Environments,
    tls: Tls,
    note: mpsc::UnboundedSender<Note>,
    tasks: Tasks,
}

impl House {
    fn serve_aws(&mut self, listener: TcpListener, addresses: Addresses, role: Identity) -> Aws {
        let Config { account, region, auth, identities, object_ownership, .. } = &self.config;
        let mut identities = identities.clone();
        identities.push(role);
        let Rooms { objects, queues, logs, tokens, metrics, .. } = self.rooms.clone();
        self.tasks.running.spawn(objects.clone().run_lifecycle(self.tasks.outer.clone()));
        // With the endpoint: Airflow measures its own end too.
        self.tasks.running.spawn(metrics.clone().run(self.tasks.aws.clone()));
        self.tasks.running.spawn(logs.clone().run(self.tasks.aws.clone()));
        let endpoint = Aws {
            s3: S3::new(
                objects.clone(),
                account.clone(),
                region.clone(),
                identities.clone(),
                *auth,
            )
            .with_object_ownership(*object_ownership),
            sqs: Sqs::new(queues, account.clone(), region.clone()),
            mwaa: Mwaa::new(mwaa::Surroundings {
                environments: self.environments.clone(),
                tokens,
                objects,
                metrics: self.rooms.metrics.clone(),
                airflow: web::airflow(&self.environments, &self.rooms),
                region: region.clone(),
                account: account.clone(),
            }),
            cloudwatch: CloudWatch::new(metrics, self.clock.clone()),
            logs: CloudwatchLogs::new(logs, account.clone(), region.clone()),
            identities: identities.into(),
            auth: *auth,
            recorder: Recorder { activity: Activity::default(), clock: self.clock.clone() },
        };
        let served = endpoint.clone();
        let front = Front {
            name: "aws".to_owned(),
            tls: Some(self.tls.acceptor.clone()),
            door: Door::for_pages_of_others(addresses.aws),
            handler: Arc::new(move |request| {
                let endpoint = served.clone();
                Box::pin(async move { endpoint.call(request).await })
            }),
        };
        self.tasks.running.spawn(gateway::serve(listener, front, self.tasks.aws.clone()));
        endpoint
    }

    /// Measures environments from outside, for as long as they may run.
    fn measure(&mut self) {
        let vitals = vitals::Vitals {
            environments: self.environments.clone(),
            rooms: self.rooms.clone(),
            clock: self.clock.clone(),
        };
        self.tasks.running.spawn(vitals.run(self.tasks.outer.clone()));
    }

    fn serve_console(&mut self, listener: TcpListener, around: console::Surroundings) {
        let door = Door::new(around.addresses.console);
        let console = Console::new(around);
        let reports = self.environments.reports();
        self.tasks.running.spawn(console.clone().follow(reports, self.tasks.outer.clone()));
        let front = Front {
            name: "console".to_owned(),
            tls: None,
            door,
            handler: Arc::new(move |request| {
                let console = console.clone();
                Box::pin(async move { console.call(request).await })
            }),
        };
        self.tasks.running.spawn(gateway::serve(listener, front, self.tasks.outer.clone()));
    }

    fn serve_environments(
        &mut self,
        first: Option<TcpListener>,
        wishes: mpsc::Receiver<environment::Wish>,
    ) {
        let host = web::Host {
            environments: self.environments.clone(),
            rooms: self.rooms.clone(),
            tls: self.tls.acceptor.clone(),
            home: self.config.state.join("environments"),
            base: self.config.addresses.web,
            own: self.config.environment.as_ref().map(|settings| settings.name.clone()),
            first,
            sync_interval: self.config.sync_interval,
            stop: self.tasks.outer.clone(),
            note: self.note.clone(),
        };
        self.tasks.running.spawn(web::run(host, wishes));
    }

    async fn start_project(&mut self) -> Result<(), StartError> {
        let Some(settings) = &self.config.environment else { return Ok(()) };
        let mirror =
            project::start(&self.config, settings, &self.rooms, &self.environments).await?;
        project::resume_others(&settings.name, &self.environments).await;
        let (stop, note) = (self.tasks.outer.clone(), self.note.clone());
        self.tasks.running.spawn(async move {
            mirror.run(stop, move |said| drop(note.send(Note::Mirror(said)))).await;
        });
        Ok(())
    }
}

impl Running {
    /// Returns when somebody asked for the end, or a task has panicked: true for a panic.
    pub async fn ended(&mut self) -> bool {
        let (ending, broken) = (self.ending.clone(), self.environments.broken());
        loop {
            tokio::select! {
                () = ending.cancelled() => return false,
                () = broken.cancelled() => return true,
                joined = self.tasks.running.join_next() => match joined {
                    Some(Err(failure)) if failure.is_panic() => {
                        error!(%failure, "a task panicked; stopping");
                        return true;
                    }
                    Some(_) => {}
                    None => ending.cancelled().await,
                },
            }
        }
    }

    /// Stops from the top floor down: watchers and web servers, Airflow, and the AWS endpoint it talks to last.
    pub async fn stop(mut self) {
        self.tasks.outer.cancel();
        self.environments.shutdown().await;
        // Airflow is gone; whoever else waits for a message has nothing to wait for.
        self.queues.close();
        self.logs.close();
        self.tasks.aws.cancel();
        while self.tasks.running.join_next().await.is_some() {}
        instance::remove(&self.instance);
    }
}

/// The capability rooms, opened.
#[derive(Clone, Debug)]
struct Rooms {
    db: Db,
    objects: Objects,
    queues: Queues,
    logs: Logs,
    metrics: Metrics,
    tokens: Tokens,
    runtime: Arc<dyn Runtime>,
}

impl Rooms {
    async fn open(config: &Config, clock: &Clock) -> Result<Rooms, StartError> {
        let schemas = [
            objects::SCHEMA,
            queues::SCHEMA,
            metrics::SCHEMA,
            environment::SCHEMA,
            mirror::SCHEMA,
            delivery::SCHEMA,
            tokens::SCHEMA,
        ];
        let path = config.state.join("windtunnel.db");
        let db = Db::open(&path, config.durability, &schemas, clock.clone())?;
        let objects = Objects::open(&config.state.join("objects"), db.clone(), clock.clone())
            .await
            .map_err(StartError::Objects)?
            .with_durability(config.durability);
        let queues = Queues::open(db.clone(), clock.clone()).await.map_err(StartError::Queues)?;
        let path = config.state.join("logs.db");
        let logs = Logs::open(&path, config.durability, clock.clone(), db.clone()).await?;
        let metrics =
            Metrics::open(db.clone(), clock.clone()).await.map_err(StartError::Metrics)?;
        let tokens = Tokens::open(&config.state, db.clone(), clock.clone())
            .await
            .map_err(|source| StartError::Tokens(config.state.clone(), source))?;
        let runtime: Arc<dyn Runtime> = Arc::new(Processes::new(process::Surroundings {
            cache: config.cache.clone(),
            state: config.state.clone(),
            variables: config.variables.0.clone(),
            clock: clock.clone(),
        }));
        runtime.sweep().await.map_err(StartError::Sweep)?;
        Ok(Rooms { db, objects, queues, logs, metrics, tokens, runtime })
    }
}

/// Bound before anything is started, so that a taken port is said at once.
#[derive(Debug)]
struct Listeners {
    aws: TcpListener,
    console: TcpListener,
    /// For the first environment; none without one.
    web: Option<TcpListener>,
    wanted: Addresses,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Listeners, StartError> {
        let bind = |address: SocketAddr| async move {
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })
        };
        Ok(Listeners {
            aws: bind(config.addresses.aws).await?,
            console: bind(config.addresses.console).await?,
            web: match config.environment {
                Some(_) => Some(bind(config.addresses.web).await?),
                None => None,
            },
            wanted: config.addresses,
        })
    }

    fn addresses(&self) -> Result<Addresses, StartError> {
        let of = |listener: &TcpListener, address| {
            listener.local_addr().map_err(|source| StartError::Listen { address, source })
        };
        Ok(Addresses {
            aws: of(&self.aws, self.wanted.aws)?,
            console: of(&self.console, self.wanted.console)?,
            web: match &self.web {
                Some(web) => of(web, self.wanted.web)?,
                None => self.wanted.web,
            },
        })
    }
}

/// A name where that is possible: older botocore puts `api.` and `env.` in front of it, whatever it is told.
fn endpoint_url(aws: SocketAddr) -> String {
    if aws.ip().is_unspecified() || aws.ip() == Ipv4Addr::LOCALHOST {
        format!("http://localhost:{}", aws.port())
    } else {
        format!("http://{aws}")
    }
}

/// How code inside an environment reaches the AWS endpoint.
fn aws_access(config: &Config, role: &Identity, addresses: Addresses, tls: &Tls) -> AwsAccess {
    AwsAccess {
        endpoint_url: endpoint_url(addresses.aws),
        region: config.region.to_string(),
        account: config.account.to_string(),
        access_key_id: role.access_key_id.clone(),
        secret_access_key: role.secret_access_key.clone(),
        ca_bundle: tls.bundle.clone(),
    }
}

/// Who code inside an environment is: its execution role, with keys of this start only.
fn execution_role(config: &Config) -> Identity {
    let role = config
        .environment
        .as_ref()
        .and_then(|environment| environment.execution_role_arn.rsplit('/').next())
        .unwrap_or("windtunnel")
        .to_owned();
    let key = id::random_text(16).to_ascii_uppercase();
    Identity {
        access_key_id: format!("ASIA{key}"),
        secret_access_key: id::random_text(40),
        arn: format!("arn:aws:sts::{}:assumed-role/{role}/AmazonMWAA-airflow", config.account),
        canonical_id: config.identities.first().map(|i| i.canonical_id.clone()).unwrap_or_default(),
        display_name: role,
        airflow_role: AirflowRole::Admin,
    }
}
