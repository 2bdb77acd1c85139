//! Where an environment's logs go: MWAA's five modules, their groups, streams and levels.
//!
//! Facts: MWAA user guide, "Viewing Airflow logs in Amazon CloudWatch", and the names of streams in MWAA's images.

use std::path::Path;

use super::Component;
use super::settings::Variables;
use crate::clock::Timestamp;
use crate::id::EnvironmentName;

/// One of the modules of `LoggingConfiguration`, each with a log group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    DagProcessing,
    Scheduler,
    Task,
    WebServer,
    Worker,
}

/// Whether a module's lines are kept, and from which level on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    pub enabled: bool,
    /// `INFO`, …
    pub name: String,
}

/// The levels of all modules, in the order of [`Module::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(pub [Level; 5]);

impl Module {
    pub const ALL: [Module; 5] =
        [Module::DagProcessing, Module::Scheduler, Module::Task, Module::WebServer, Module::Worker];

    /// `airflow-my-project-Task`.
    pub fn group(self, environment: &EnvironmentName) -> String {
        let end = match self {
            Module::DagProcessing => "DAGProcessing",
            Module::Scheduler => "Scheduler",
            Module::Task => "Task",
            Module::WebServer => "WebServer",
            Module::Worker => "Worker",
        };
        format!("airflow-{environment}-{end}")
    }

    /// The module that a component belongs to. The triggerer shares the scheduler's.
    pub fn of(component: Component) -> Module {
        match component {
            Component::Scheduler | Component::Triggerer => Module::Scheduler,
            Component::DagProcessor => Module::DagProcessing,
            Component::WebServer => Module::WebServer,
            Component::Worker => Module::Worker,
        }
    }
}

impl Levels {
    pub fn of(&self, module: Module) -> &Level {
        let at = Module::ALL.iter().position(|one| *one == module);
        &self.0[at.expect("every module is among all")]
    }

    /// The variable that sets a component's own level.
    pub fn variable_of(&self, component: Component) -> (&'static str, &str) {
        ("AIRFLOW__LOGGING__LOGGING_LEVEL", &self.of(Module::of(component)).name)
    }
}

/// Airflow's settings of task logs: they are written to CloudWatch Logs and read from there.
pub(super) fn settings(
    above: &mut Variables,
    logging: Option<(&EnvironmentName, &Levels)>,
    (region, account): (&str, &str),
) {
    // Divergence(disabled-task-logs): MWAA's UI then shows nothing; ours shows the files that Airflow falls back on.
    let on = logging.map(|(environment, levels)| (environment, levels.of(Module::Task)));
    let (remote, folder) = match on.filter(|(_, task)| task.enabled) {
        Some((environment, _)) => {
            let group = Module::Task.group(environment);
            ("True", format!("cloudwatch://arn:aws:logs:{region}:{account}:log-group:{group}"))
        }
        None => ("False", String::new()),
    };
    let level = on.map_or("INFO", |(_, task)| task.name.as_str());
    for (name, value) in [
        ("AIRFLOW__LOGGING__REMOTE_LOGGING", remote),
        ("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER", &folder),
        // The environment's own credentials, whatever the project makes of `aws_default`.
        ("AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID", ""),
        ("WINDTUNNEL_TASK_LOG_LEVEL", level),
    ] {
        above.insert(name.to_owned(), value.to_owned());
    }
}

/// Airflow 2 sets up its handlers by a module of ours. Airflow 3 needs none, and would tell every command of it.
pub(super) const SET_UP_2: (&str, &str) =
    ("AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS", "windtunnel_logging.LOGGING_CONFIG");

/// What the streams of one launch are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// This machine.
    pub host: String,
    pub launched: Timestamp,
    /// Airflow's.
    pub major: u32,
}

impl Streams {
    /// Whose lines a file holds, and the stream for them. `file` lies below an environment's folder of logs.
    pub fn of_file(&self, file: &Path) -> Option<(Module, String)> {
        let name = file.file_name()?.to_str()?;
        let stem = name.strip_suffix(".log")?;
        let mut folders = file.parent()?.components().filter_map(|part| part.as_os_str().to_str());
        match (folders.next(), folders.next()) {
            (None, _) => self.of_component(stem),
            // Airflow keeps what it says about a DAG file in a file of that name.
            (Some("tasks"), Some("scheduler")) => {
                Some((Module::DagProcessing, format!("scheduler_{name}")))
            }
            (Some("tasks"), Some("dag_processor")) => {
                Some((Module::DagProcessing, format!("scheduler_dag_processor_{name}")))
            }
            (Some(_), _) => None,
        }
    }

    /// Whether a file is written while a launch is prepared, before anything of it runs.
    pub fn of_preparation(file: &Path) -> bool {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("startup_"))
    }

    fn of_component(&self, stem: &str) -> Option<(Module, String)> {
        let module = match stem.split_once('-').map_or(stem, |(kind, _)| kind) {
            "scheduler" | "triggerer" | "startup_scheduler" => Module::Scheduler,
            "webserver" | "startup_webserver" => Module::WebServer,
            "worker" | "startup_worker" => Module::Worker,
            "dag" => {
                let name =
                    if self.major == 2 { "dag_processor_manager" } else { "dag-processor-manager" };
                return Some((Module::DagProcessing, format!("{name}.log")));
            }
            _ => return None,
        };
        let (kind, number) = stem.split_once('-').unwrap_or((stem, ""));
        let kind = if kind.starts_with("startup_") { "startup_script_execution" } else { kind };
        let host =
            if number.is_empty() { self.host.clone() } else { format!("{}-{number}", self.host) };
        let at = self.launched.as_epoch_seconds();
        Some((module, format!("{kind}_{host}_{at:.3}.log")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_lines_has_the_stream_that_mwaa_gives_it() {
        let launched = Timestamp::from_millis(1_795_350_534_120);
        let streams = Streams { host: "box".to_owned(), launched, major: 2 };
        let told = |file: &str| {
            let found = streams.of_file(Path::new(file));
            found.map(|(module, stream)| format!("{module:?} {stream}"))
        };
        let cases = [
            ("scheduler.log", "Scheduler scheduler_box_1795350534.120.log"),
            ("triggerer.log", "Scheduler triggerer_box_1795350534.120.log"),
            ("webserver.log", "WebServer webserver_box_1795350534.120.log"),
            ("worker.log", "Worker worker_box_1795350534.120.log"),
            ("worker-2.log", "Worker worker_box-2_1795350534.120.log"),
            ("startup_worker.log", "Worker startup_script_execution_box_1795350534.120.log"),
            ("dag-processor.log", "DagProcessing dag_processor_manager.log"),
            ("tasks/scheduler/2026-11-22/team/etl.py.log", "DagProcessing scheduler_etl.py.log"),
            (
                "tasks/dag_processor/2026-11-22/etl.py.log",
                "DagProcessing scheduler_dag_processor_etl.py.log",
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(told(file).as_deref(), Some(expected), "{file}");
        }
        for file in ["postgres.log", "interpreter.log", "tasks/dag_id=a/attempt=1.log", "scheduler"]
        {
            assert_eq!(told(file), None, "{file}");
        }
    }
}
