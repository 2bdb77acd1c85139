//! Components as supervised child processes, forked from one warm interpreter per environment.
//!
//! A launch: PostgreSQL's files, Airflow's packages, the project's packages, the startup script; then the database
//! and the warm interpreter side by side, then the components. Only that last part stops what ran before, so a
//! project that does not install leaves the running environment alone; and if the new one does not become healthy,
//! the old one is started again.
//!
//! Below an environment's home: `logs`, `plugins`, `postgres`, `python` (our files), `processes` (for the sweep).

mod database;
mod follow;
mod health;
mod host;
mod install;
mod interpreter;
mod ledger;
mod plugins;
mod postgres;
mod requirements;
mod startup;
mod supervise;
mod sweep;
mod template;
mod upgrade;
mod usage;
pub mod workbench;
mod workers;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sha2::Digest as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::database::Database;
use self::follow::Following;
use self::host::Host;
use self::install::{Installer, Wish};
use self::interpreter::Difference;
use self::ledger::Ledger;
use self::supervise::{Keepers, Part, Shared};
use self::template::{SPACE, Template};
use self::workers::{Crew, Seats};
use super::{
    ComponentState, DagChanges, ExecError, ImportError, LaunchError, LaunchPlan, Life, Output,
    Parsed, Progress, Replacement, Report, Runtime, Stage, Upstream, Usage, Worker,
};
use crate::airflow::logging::Levels;
use crate::airflow::settings::{self, Variables, Wiring};
use crate::airflow::{self, Component, Recipe};
use crate::clock::Clock;
use crate::id::{EnvironmentName, LaunchId, ReceiverName};

/// Where things are kept, and what the person's shell said.
#[derive(Clone)]
pub struct Surroundings {
    /// Shared by all projects of this user: interpreter environments, database templates.
    pub cache: PathBuf,
    /// `.windtunnel` of this project: the mark of its processes.
    pub state: PathBuf,
    /// The variables that windtunnel was started with.
    pub variables: BTreeMap<String, String>,
    pub clock: Clock,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// The process runtime of one project.
#[derive(Debug)]
pub struct Processes {
    cache: PathBuf,
    state: PathBuf,
    host: Host,
    clock: Clock,
    environments: Mutex<BTreeMap<EnvironmentName, Arc<Slot>>>,
}

/// One environment: what runs of it, and what it was made from.
#[derive(Debug)]
struct Slot {
    life: watch::Sender<Life>,
    /// Held for the length of a launch or a stop: there is one at a time.
    busy: tokio::sync::Mutex<Option<Live>>,
    /// What verbs need, without waiting for a launch.
    seen: Mutex<Option<Seen>>,
    /// Of all launches: an earlier one's may still be finishing what they run.
    workers: watch::Sender<Vec<Worker>>,
    /// Hands on what its components write, over all of its launches.
    following: tokio::sync::Mutex<Option<Following>>,
    /// What was dropped while it ran, on its way out.
    leaving: TaskTracker,
    /// Launches that have made way, while their workers finish what they run.
    parting: TaskTracker,
    /// Ends those by force.
    force: Mutex<CancellationToken>,
}

#[derive(Debug)]
struct Live {
    prepared: Arc<Prepared>,
    keepers: Keepers,
}

#[derive(Clone, Debug)]
struct Seen {
    shared: Arc<Shared>,
    prepared: Arc<Prepared>,
}

/// A launch whose files are all there.
#[derive(Debug)]
struct Prepared {
    plan: LaunchPlan,
    /// Where its components' lines go.
    way: follow::Way,
    start: interpreter::Start,
    files: postgres::Files,
    /// All components but the workers.
    parts: Vec<Part>,
    crew: Crew,
    /// What the web server's variables differ in: commands run beside it.
    beside: Difference,
    /// The unpacked plugins.
    plugins: PathBuf,
    marker: Variables,
    /// Spent on the database's files, and whether the version's template had to be made first.
    database_took: Duration,
    fresh_template: bool,
}

/// The Python of an Airflow version that is installed in the cache; `None` when the version is not.
pub fn cached(cache: &Path, recipe: &Recipe) -> Option<&'static str> {
    install::installed(cache, recipe).map(|(_, python)| python)
}

impl Processes {
    pub fn new(surroundings: Surroundings) -> Processes {
        let Surroundings { cache, state, variables, clock } = surroundings;
        let host = Host::new(variables);
        Processes { cache, state, host, clock, environments: Mutex::default() }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<EnvironmentName, Arc<Slot>>> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, environment: &EnvironmentName) -> Arc<Slot> {
        let mut slots = self.slots();
        let slot = slots.entry(environment.clone()).or_insert_with(|| {
            Arc::new(Slot {
                life: watch::Sender::new(Life::Stopped),
                workers: watch::Sender::default(),
                busy: tokio::sync::Mutex::default(),
                seen: Mutex::default(),
                following: tokio::sync::Mutex::default(),
                leaving: TaskTracker::new(),
                parting: TaskTracker::new(),
                force: Mutex::default(),
            })
        });
        Arc::clone(slot)
    }

    fn seen(&self, environment: &EnvironmentName) -> Option<Seen> {
        let slot = self.slots().get(environment).cloned()?;
        slot.seen()
    }

    /// Everything of a launch that does not need what runs to stop.
    async fn prepare(
        &self,
        (plan, way): (LaunchPlan, follow::Way),
        slot: &Slot,
        progress: &Progress,
    ) -> Result<Prepared, LaunchError> {
        let place = postgres::Place::find();
        let data = place.reachable(&plan.home.join("postgres"));
        upgrade::settle(&data, plan.recipe)?;
        let installer = Installer {
            cache: self.cache.clone(),
            host: self.host.clone(),
            progress: progress.clone(),
        };
        let folders = Folders::make(&plan, &self.host)?;
        let version = postgres::PACKAGE.replace("==", "-");
        let programs = place.reachable(&self.cache.join("postgres").join(version));
        installer.postgres(&programs, plan.recipe).await?;
        let base = installer.base(plan.recipe).await?;
        let archive = plan.plugins.clone();
        let home = plan.home.clone();
        let unpacking =
            tokio::task::spawn_blocking(move || plugins::unpack(&home, archive.as_ref()));
        let plugins = unpacking.await.map_err(|error| {
            failed("cannot unpack the plugins", &io::Error::other(error), "try again")
        })??;
        let files = postgres::Files {
            data,
            place,
            installed: programs,
            socket: folders.sockets.join("pg"),
            log: folders.logs.join("postgres.log"),
            ledger: Ledger::new(record(&plan.home, None), slot.leaving.clone()),
        };
        let derived = Derived {
            database_url: files.url(),
            token_secret: digest(&[b"tokens", plan.secrets.web_secret_key.as_bytes()]),
        };
        let layers = settings::layers(&wiring(&plan, &folders, &plugins, &derived));
        let mut under = self.host.basis(&base.programs, &plan.home);
        under.extend(layers.below);
        under.extend(plan.variables.clone());
        let mut over = layers.above;
        over.insert(sweep::MARKER.to_owned(), self.state.display().to_string());
        let environments = self
            .startup(&plan, &base.python, &Sources { under, over, logs: &folders.logs, progress })
            .await?;
        let common = environments["scheduler"].clone();
        let wish = Wish {
            requirements: plan.requirements.as_ref(),
            plugins: &plugins,
            dags: &plan.dags,
            variables: &common,
        };
        let project = installer.project(plan.recipe, &base, &wish).await;
        install::note(&folders.logs.join("requirements.log"), &project);
        let project = project?;
        let environments = in_front(environments, &base, &project);
        progress.tell(Report::Began(Stage::Database));
        let began = Instant::now();
        let source = Template {
            installer: &installer,
            base: &base,
            environment: &environments["scheduler"],
        };
        let fresh_template = self.template(&plan, &files, &source).await?;
        let database_took = began.elapsed();
        let made =
            Made { folders, files, plugins, project, environments, database_took, fresh_template };
        Ok(self.prepared((plan, way), slot, made))
    }

    fn prepared(
        &self,
        (plan, way): (LaunchPlan, follow::Way),
        slot: &Slot,
        made: Made,
    ) -> Prepared {
        let Made { folders, files, plugins, project, environments, database_took, fresh_template } =
            made;
        let common = &environments["scheduler"];
        let part = |component: Component| {
            let env = difference(common, &environments[settings::container_of(component)]);
            let mut env = leveled(component, &plan.logging, env);
            let (name, host) = settings::hostname(component.name());
            env.insert(name.to_owned(), Some(host));
            let log = folders.logs.join(format!("{component}.log"));
            Part { component, start: (plan.recipe.start)(component), log, env }
        };
        let others = plan.recipe.components.iter().filter(|one| **one != Component::Worker);
        let parts = others.map(|component| part(*component)).collect();
        let worker = settings::container_of(Component::Worker);
        let crew = Crew {
            part: part(Component::Worker),
            slots: settings::slots(&environments[worker], &plan.class),
            queue_name: plan.broker.queue_name.clone(),
            queue_url: plan.broker.queue_url.clone(),
        };
        let start = interpreter::Start {
            python: project.python,
            code: folders.code,
            recipe: plan.recipe.zygote,
            // A beginning: every start has its own.
            socket: folders.sockets.join(format!("z{}", plan.launch)),
            home: plan.home.clone(),
            log: folders.logs.join("interpreter.log"),
            environment: common.clone(),
            ledger: Ledger::new(record(&plan.home, Some(plan.launch)), slot.leaving.clone()),
        };
        let beside = difference(common, &environments["webserver"]);
        let marker =
            Variables::from([(sweep::MARKER.to_owned(), self.state.display().to_string())]);
        Prepared {
            plan,
            way,
            start,
            files,
            parts,
            crew,
            beside,
            plugins,
            marker,
            database_took,
            fresh_template,
        }
    }

    /// The variables of each kind of container, after the startup script where there is one.
    async fn startup(
        &self,
        plan: &LaunchPlan,
        python: &Path,
        sources: &Sources<'_>,
    ) -> Result<BTreeMap<&'static str, Variables>, LaunchError> {
        let mut merged = sources.under.clone();
        merged.extend(sources.over.clone());
        let mut environments = BTreeMap::new();
        let began = Instant::now();
        if plan.startup_script.is_some() {
            sources.progress.tell(Report::Began(Stage::StartupScript));
        }
        for container in ["scheduler", "worker", "webserver"] {
            let mut variables = match &plan.startup_script {
                None => merged.clone(),
                Some(script) => {
                    let log = sources.logs.join(format!("startup_{container}.log"));
                    let run = startup::Run {
                        script,
                        python,
                        container,
                        variables: &merged,
                        home: &plan.home,
                        log: &log,
                    };
                    run.run().await?
                }
            };
            variables.extend(sources.over.clone());
            for name in ["MWAA_AIRFLOW_COMPONENT", "MWAA_COMMAND"] {
                variables.insert(name.to_owned(), container.to_owned());
            }
            environments.insert(container, variables);
        }
        if plan.startup_script.is_some() {
            let stage = Stage::StartupScript;
            sources.progress.tell(Report::Done { stage, took: began.elapsed(), cached: false });
        }
        Ok(environments)
    }

    /// Gives a new environment its database: a copy of the version's template, which is made on first use. Says
    /// whether it was made now.
    async fn template(
        &self,
        plan: &LaunchPlan,
        files: &postgres::Files,
        source: &Template<'_>,
    ) -> Result<bool, LaunchError> {
        if files.data.join("PG_VERSION").exists() {
            return Ok(false);
        }
        let installer = source.installer;
        let name = format!("{}-{}", source.base.id, postgres::PACKAGE.replace("==", "-"));
        let template = files.place.reachable(&self.cache.join("templates").join(name));
        let made = !template.join("PG_VERSION").exists();
        if made {
            let _lock = installer.lock().await?;
            if !template.join("PG_VERSION").exists() {
                template::make(plan, files, source, &template).await?;
            }
        }
        let (place, to, recipe) = (files.place.clone(), files.data.clone(), plan.recipe);
        let copied =
            tokio::task::spawn_blocking(move || template::copy(&place, &template, &to, recipe))
                .await
                .map_err(io::Error::other)
                .flatten();
        copied.map_err(|error| failed("cannot create the database", &error, SPACE))?;
        Ok(made)
    }

    /// Starts what was prepared over what was before, with its database made fit for it; that is undone where the start
    /// fails. Nothing of the launch runs then.
    async fn start_anew(
        &self,
        prepared: &Arc<Prepared>,
        database: Option<Arc<Database>>,
        (slot, progress): (&Slot, &Progress),
    ) -> Result<Live, LaunchError> {
        let moved = match &database {
            // It runs, and is of this very version.
            Some(_) => None,
            None => upgrade::migrate(prepared, progress).await?,
        };
        let started = self.start(prepared, database, (slot, progress)).await;
        if started.is_err() {
            ledger::gone(&slot.leaving).await;
        }
        match (moved, &started) {
            (None, _) => {}
            (Some(moved), Ok(_)) => moved.keep(),
            (Some(moved), Err(_)) => moved.undo(),
        }
        started
    }

    /// Starts what was prepared and returns when it is healthy. `database` runs already, where one is given.
    async fn start(
        &self,
        prepared: &Arc<Prepared>,
        database: Option<Arc<Database>>,
        (slot, progress): (&Slot, &Progress),
    ) -> Result<Live, LaunchError> {
        let Prepared { plan, files, parts, marker, .. } = &**prepared;
        slot.turn(prepared.way.clone()).await;
        let mut start = prepared.start.named_anew();
        let web = if parts.iter().any(|part| matches!(part.start, airflow::Start::Server(_))) {
            // Found as late as can be: until the interpreter holds it, somebody else may take it.
            supervise::free_address()
        } else {
            None
        };
        start.environment.extend(web.map(settings::api_server).unwrap_or_default());
        let seats = Seats::new(plan.launch, plan.workers, slot.workers.clone());
        let shared = Arc::new(Shared::new(&start, parts, web, seats));
        let mut keepers = Keepers::new(Arc::clone(&shared));
        let since = self.clock.now();
        progress.tell(Report::Began(Stage::Interpreter));
        let began = Instant::now();
        let database = async {
            let database = if let Some(database) = database {
                database
            } else {
                let server = files.start(marker).await?;
                Arc::new(Database::keep(server, files.clone(), marker.clone()))
            };
            let (stage, cached) = (Stage::Database, !prepared.fresh_template);
            let took = prepared.database_took + began.elapsed();
            progress.tell(Report::Done { stage, took, cached });
            Ok(database)
        };
        let interpreter = async {
            let started = interpreter::Interpreter::start(&start).await;
            let started = started.map_err(|error| LaunchError {
                what: "cannot start the interpreter".to_owned(),
                why: error.to_string(),
                next: format!("see {}", prepared.start.log.display()),
                detail: tail(&prepared.start.log),
            })?;
            let stage = Stage::Interpreter;
            progress.tell(Report::Done { stage, took: began.elapsed(), cached: false });
            Ok(started)
        };
        let (database, started) = tokio::try_join!(database, interpreter)?;
        keepers.keep_database(database);
        keepers.keep_interpreter(started, start.clone());
        progress.tell(Report::Began(Stage::Components));
        let began = Instant::now();
        for part in parts {
            keepers.keep_component(part.clone());
        }
        keepers.keep_workers(prepared.crew.clone());
        if let Err(error) = health::wait(&shared, plan.recipe.health, since).await {
            keepers.stop(Duration::from_secs(5)).await;
            return Err(error);
        }
        keepers.tell_loss(slot.life.clone(), plan.launch);
        let stage = Stage::Components;
        progress.tell(Report::Done { stage, took: began.elapsed(), cached: false });
        Ok(Live { prepared: Arc::clone(prepared), keepers })
    }
}

impl Prepared {
    /// Whether the tasks of `before` may go on while this launch begins: both want the same database then.
    fn follows_gracefully(&self, before: &Prepared) -> bool {
        self.plan.replacement == Replacement::Graceful
            && self.plan.recipe.version == before.plan.recipe.version
    }
}

/// What the startup script stands between.
struct Sources<'a> {
    under: Variables,
    over: Variables,
    logs: &'a Path,
    progress: &'a Progress,
}

struct Made {
    folders: Folders,
    files: postgres::Files,
    plugins: PathBuf,
    project: install::Interpreter,
    environments: BTreeMap<&'static str, Variables>,
    database_took: Duration,
    fresh_template: bool,
}

/// The folders of an environment, made.
#[derive(Debug)]
struct Folders {
    logs: PathBuf,
    task_logs: PathBuf,
    code: PathBuf,
    sockets: PathBuf,
}

impl Folders {
    fn make(plan: &LaunchPlan, host: &Host) -> Result<Folders, LaunchError> {
        let what = format!("cannot prepare {}", plan.home.display());
        let made = || {
            let logs = plan.home.join("logs");
            let task_logs = logs.join("tasks");
            let code = plan.home.join("python");
            std::fs::create_dir_all(&task_logs)?;
            std::fs::create_dir_all(&plan.dags)?;
            interpreter::write_code(&code)?;
            Ok(Folders { task_logs, code, sockets: host.sockets(&plan.home)?, logs })
        };
        made().map_err(|error: io::Error| failed(&what, &error, SPACE))
    }
}

/// What the settings need and a plan only implies.
struct Derived {
    database_url: String,
    /// Of its own, and yet the same for as long as the environment's key is.
    token_secret: String,
}

fn wiring<'a>(
    plan: &'a LaunchPlan,
    folders: &'a Folders,
    plugins: &'a Path,
    derived: &'a Derived,
) -> Wiring<'a> {
    Wiring {
        recipe: plan.recipe,
        logging: Some((&plan.environment, &plan.logging)),
        class: &plan.class,
        max_workers: plan.max_workers,
        home: &plan.home,
        dags: &plan.dags,
        plugins,
        has_plugins: plan.plugins.is_some(),
        task_logs: &folders.task_logs,
        code: &folders.code,
        database_url: &derived.database_url,
        broker: plan.broker.address,
        queue_name: &plan.broker.queue_name,
        queue_url: &plan.broker.queue_url,
        statsd: (plan.statsd.address, &plan.statsd.prefix),
        base_url: &plan.base_url,
        fernet_key: &plan.secrets.fernet_key,
        web_secret_key: &plan.secrets.web_secret_key,
        token_secret: &derived.token_secret,
        proxy_secret: &plan.secrets.proxy_secret,
        options: &plan.options,
        endpoint_url: &plan.aws.endpoint_url,
        region: &plan.aws.region,
        account: &plan.aws.account,
        access_key_id: &plan.aws.access_key_id,
        secret_access_key: &plan.aws.secret_access_key,
        ca_bundle: &plan.aws.ca_bundle,
    }
}

/// Puts the project's programs before Airflow's on every PATH.
fn in_front(
    mut environments: BTreeMap<&'static str, Variables>,
    base: &install::Interpreter,
    project: &install::Interpreter,
) -> BTreeMap<&'static str, Variables> {
    let Some(first) = project.programs.first().filter(|_| project != base) else {
        return environments;
    };
    for variables in environments.values_mut() {
        let path = variables.entry("PATH".to_owned()).or_default();
        *path = format!("{}:{path}", first.display());
    }
    environments
}

/// Where the processes of a launch, or those of the environment that outlast one, are written down for the sweep.
fn record(home: &Path, launch: Option<LaunchId>) -> PathBuf {
    home.join(launch.map_or_else(|| "processes".to_owned(), |id| format!("processes.{id}")))
}

/// All of these that there are.
fn records(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("processes"));
    ours.map(|entry| entry.path()).collect()
}

fn difference(from: &Variables, to: &Variables) -> Difference {
    let mut difference = Difference::new();
    for (name, value) in to {
        if from.get(name) != Some(value) {
            difference.insert(name.clone(), Some(value.clone()));
        }
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        difference.insert(name.clone(), None);
    }
    difference
}

/// A component has its module's level, unless the project sets one for all.
fn leveled(component: Component, levels: &Levels, mut difference: Difference) -> Difference {
    let (name, level) = levels.variable_of(component);
    difference.entry(name.to_owned()).or_insert_with(|| Some(level.to_owned()));
    difference
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Slot {
    /// Has a launch make way for the next one. Its workers go on with what they run, on its interpreter and its
    /// database, and take nothing new.
    async fn make_way(&self, keepers: Keepers) {
        let parting = keepers.part().await;
        let force = self.force.lock().unwrap_or_else(PoisonError::into_inner).clone();
        drop(self.parting.spawn(parting.over(force)));
    }

    /// Ends by force what has made way, and waits for that.
    async fn end_parting(&self) {
        let force = {
            let mut force = self.force.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *force)
        };
        force.cancel();
        ledger::gone(&self.parting).await;
    }

    fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is written to the folder of logs while a launch is prepared goes this way, but for the lines of what runs.
    async fn follow(&self, way: follow::Way, logs: &Path) {
        let mut following = self.following.lock().await;
        match &*following {
            Some(already) => already.prepare(way),
            None => *following = Some(Following::start(logs, way)),
        }
    }

    /// Everything goes this way from now on.
    async fn turn(&self, way: follow::Way) {
        if let Some(following) = &*self.following.lock().await {
            following.turn(way);
        }
    }

    fn show(&self, live: Option<&Live>) {
        let seen = live.map(|running| Seen {
            shared: Arc::clone(&running.keepers.shared),
            prepared: Arc::clone(&running.prepared),
        });
        let now = seen.as_ref().map_or(Life::Stopped, |seen| {
            let launch = seen.prepared.plan.launch;
            Life::Running(launch)
        });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        self.life.send_replace(now);
    }
}

#[async_trait]
impl Runtime for Processes {
    async fn sweep(&self) -> io::Result<()> {
        let homes = std::fs::read_dir(self.state.join("environments")).into_iter().flatten();
        let records: Vec<PathBuf> =
            homes.flatten().flat_map(|home| records(&home.path())).collect();
        sweep::sweep(&self.state, &records).await?;
        if let Err(error) = self.host.tidy() {
            tracing::warn!(%error, "sockets of environments that are gone stay");
        }
        postgres::Place::find().tidy()
    }

    async fn launch(&self, plan: LaunchPlan, progress: Progress) -> Result<(), LaunchError> {
        let slot = self.slot(&plan.environment);
        let mut busy = slot.busy.lock().await;
        ledger::gone(&slot.leaving).await;
        let way = follow::Way::of(&plan, self.clock.now());
        slot.follow(way.clone(), &plan.home.join("logs")).await;
        let prepared = Arc::new(self.prepare((plan, way), &slot, &progress).await?);
        let before = busy.take();
        slot.show(None);
        let last_good = before.as_ref().map(|live| Arc::clone(&live.prepared));
        let database = match before {
            Some(live) if prepared.follows_gracefully(&live.prepared) => {
                let database = live.keepers.database();
                slot.make_way(live.keepers).await;
                database
            }
            before => {
                slot.end_parting().await;
                if let Some(live) = before {
                    live.keepers.stop(Duration::from_secs(10)).await;
                }
                None
            }
        };
        let started = self.start_anew(&prepared, database.clone(), (&slot, &progress)).await;
        let (live, result) = match (started, last_good) {
            (Ok(live), _) => {
                // Code that has made way is still being run.
                if slot.parting.is_empty() {
                    plugins::forget_others(&live.prepared.plugins);
                }
                (Some(live), Ok(()))
            }
            (Err(error), None) => (None, Err(error)),
            (Err(error), Some(last_good)) => {
                let silent = Progress::silent();
                let again = self.start(&last_good, database, (&slot, &silent)).await;
                (again.ok(), Err(error))
            }
        };
        slot.show(live.as_ref());
        *busy = live;
        result
    }

    async fn stop(&self, environment: &EnvironmentName, grace: Duration) {
        let Some(slot) = self.slots().get(environment).cloned() else { return };
        let mut busy = slot.busy.lock().await;
        let live = busy.take();
        slot.show(None);
        slot.end_parting().await;
        if let Some(live) = live {
            live.keepers.stop(grace).await;
        }
        // A launch that was given up may have been starting something.
        ledger::gone(&slot.leaving).await;
        if let Some(following) = slot.following.lock().await.take() {
            following.stop().await;
        }
    }

    async fn exec(
        &self,
        environment: &EnvironmentName,
        argv: Vec<String>,
        deadline: Duration,
    ) -> Result<Output, ExecError> {
        let seen = self.running(environment)?;
        let run = interpreter::run(&seen.shared.socket, &argv, &seen.prepared.beside);
        match tokio::time::timeout(deadline, run).await {
            Ok(output) => output.map_err(ExecError::Interpreter),
            Err(_) => Err(ExecError::Deadline(deadline)),
        }
    }

    async fn parse(
        &self,
        environment: &EnvironmentName,
        changes: DagChanges,
    ) -> Result<Vec<Parsed>, ExecError> {
        let seen = self.running(environment)?;
        // Named as Airflow names them: by the folder that it was given.
        let dags = &seen.prepared.plan.dags;
        let absolute = |paths: Vec<PathBuf>| -> Vec<PathBuf> {
            let files = paths.into_iter().filter(|path| is_dag_file(path));
            files.map(|path| dags.join(path)).collect()
        };
        let (written, removed) = (absolute(changes.written), absolute(changes.removed));
        if written.is_empty() && removed.is_empty() {
            return Ok(Vec::new());
        }
        let scheduler = Difference::new();
        let parsed = interpreter::parse(&seen.shared.socket, &written, &removed, &scheduler).await;
        let parsed = parsed.map_err(ExecError::Interpreter)?;
        Ok(parsed.into_iter().map(|file| parsed_below(dags, file)).collect())
    }

    fn upstream(&self, environment: &EnvironmentName) -> Option<Upstream> {
        let seen = self.seen(environment)?;
        let proxy_secret = seen.prepared.plan.secrets.proxy_secret.clone();
        Some(Upstream { address: seen.shared.web()?, proxy_secret })
    }

    fn life(&self, environment: &EnvironmentName) -> watch::Receiver<Life> {
        self.slot(environment).life.subscribe()
    }

    fn components(&self, environment: &EnvironmentName) -> Vec<ComponentState> {
        let Some(seen) = self.seen(environment) else { return Vec::new() };
        let mut states = seen.shared.states();
        // Of launches that have made way.
        let launch = seen.prepared.plan.launch;
        let workers = self.slot(environment).workers.subscribe();
        let others = workers.borrow();
        states.extend(others.iter().filter(|worker| worker.launch != launch).map(workers::state));
        states
    }

    async fn usage(&self, environment: &EnvironmentName) -> Vec<Usage> {
        usage::of(self.components(environment)).await
    }

    fn workers(&self, environment: &EnvironmentName) -> watch::Receiver<Vec<Worker>> {
        self.slot(environment).workers.subscribe()
    }

    fn scale(&self, environment: &EnvironmentName, workers: u32, leaving: &[ReceiverName]) {
        if let Some(seen) = self.seen(environment) {
            seen.shared.seats.scale(workers, leaving);
        }
    }
}

impl Processes {
    fn running(&self, environment: &EnvironmentName) -> Result<Seen, ExecError> {
        self.seen(environment).ok_or_else(|| ExecError::NotRunning(environment.clone()))
    }
}

/// What can define DAGs: Airflow looks at modules and at archives of them.
fn is_dag_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py" || extension == "zip")
}

fn parsed_below(dags: &Path, file: interpreter::ParsedFile) -> Parsed {
    let below = |path: &Path| path.strip_prefix(dags).unwrap_or(path).to_owned();
    Parsed {
        path: below(&file.file),
        dag_ids: file.dag_ids,
        took: Duration::try_from_secs_f64(file.seconds).unwrap_or_default(),
        error: file.import_error.map(|error| ImportError {
            message: error.message,
            file: below(&error.file),
            // A file that ended its process has no line; a person looks at its first one.
            line: error.line.unwrap_or(1),
            traceback: error.traceback,
        }),
    }
}

/// A launch error with an operating system's reason.
fn failed(what: &str, error: &io::Error, next: &str) -> LaunchError {
    LaunchError {
        what: what.to_owned(),
        why: error.to_string(),
        next: next.to_owned(),
        detail: String::new(),
    }
}

/// A log opened for appending; its folder is made.
fn append(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().create(true).append(true).open(path)
}

/// The end of a log, for an error's details. Empty where there is none.
fn tail(path: &Path) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(crate::limits::LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The SHA-256 of the parts, each told from the next by its length, in hexadecimal.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
