//! The settings of an environment: what Airflow is told, in which order of precedence, and why.
//!
//! MWAA's order (facts: the images' entrypoint), lowest first: the container's own environment, opinionated
//! options, opinionated variables, what the startup script exports, `AirflowConfigurationOptions`, protected
//! variables, essential options, essential variables. Here [`Layers`] holds all but the startup script's, which is
//! known only once that script has run. The project's `.env` stands just below the startup script.
//!
//! Where ours differ from MWAA's, the comment says so and why.

mod three;
mod two;

use std::collections::BTreeMap;
use std::path::Path;

use super::Recipe;
use super::classes::class_of;
use super::logging::{self, Levels};
use crate::id::EnvironmentName;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What the settings are made from.
#[derive(Clone, Copy, Debug)]
pub struct Wiring<'a> {
    pub recipe: &'a Recipe,
    /// Whose log groups; where there are none, lines stay in files.
    pub logging: Option<(&'a EnvironmentName, &'a Levels)>,
    /// `mw1.small`, …
    pub class: &'a str,
    /// The most workers there may be.
    pub max_workers: u32,
    /// `AIRFLOW_HOME`.
    pub home: &'a Path,
    pub dags: &'a Path,
    pub plugins: &'a Path,
    /// Whether the project brings plugins at all.
    pub has_plugins: bool,
    pub task_logs: &'a Path,
    /// Where our Python files lie.
    pub code: &'a Path,
    /// The `SQLAlchemy` URL of the metadata database.
    pub database_url: &'a str,
    /// Host and port of the SQS endpoint.
    pub broker: std::net::SocketAddr,
    pub queue_name: &'a str,
    pub queue_url: &'a str,
    /// Where metrics go, and what their names begin with.
    pub statsd: (std::net::SocketAddr, &'a str),
    pub base_url: &'a str,
    pub fernet_key: &'a str,
    pub web_secret_key: &'a str,
    /// What Airflow 3 signs its tokens with.
    pub token_secret: &'a str,
    pub proxy_secret: &'a str,
    /// `AirflowConfigurationOptions`, `section.key`.
    pub options: &'a BTreeMap<String, String>,
    /// The AWS endpoint, for DAG code.
    pub endpoint_url: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub ca_bundle: &'a Path,
}

/// The settings below and above what the startup script exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Can be overridden by the project's `.env` and its startup script.
    pub below: Variables,
    /// Override those: configuration options, then what nobody can change.
    pub above: Variables,
}

/// The variable of a configuration option: `celery.worker_autoscale` is `AIRFLOW__CELERY__WORKER_AUTOSCALE`.
/// Unknown sections are allowed, as on MWAA: people pass variables that way.
pub fn variable_of(option: &str) -> String {
    let (section, key) = option.split_once('.').unwrap_or(("core", option));
    format!("AIRFLOW__{}__{}", section.to_uppercase(), key.to_uppercase())
}

/// Both layers of an environment.
pub fn layers(wiring: &Wiring<'_>) -> Layers {
    let mut below = Variables::new();
    class_defaults(&mut below, wiring);
    opinionated(&mut below);
    match wiring.recipe.major {
        2 => two::below(&mut below),
        _ => three::below(&mut below),
    }
    let mut above: Variables =
        wiring.options.iter().map(|(name, value)| (variable_of(name), value.clone())).collect();
    protected(&mut above, wiring);
    essential(&mut above, wiring);
    metrics(&mut above, wiring);
    match wiring.recipe.major {
        2 => two::above(&mut above, wiring),
        _ => three::above(&mut above, wiring),
    }
    let place = (wiring.region, wiring.account);
    logging::settings(&mut above, wiring.logging, place);
    Layers { below, above }
}

/// How the components of an Airflow 3 find the API server that holds `address` for the length of a launch.
pub fn api_server(address: std::net::SocketAddr) -> Variables {
    Variables::from([
        ("WINDTUNNEL_WEB_ADDRESS".to_owned(), address.to_string()),
        (
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL".to_owned(),
            format!("http://{address}/execution/"),
        ),
    ])
}

/// What `MWAA_AIRFLOW_COMPONENT` and `MWAA_COMMAND` say in a component (MWAA runs the scheduler, the DAG processor
/// and the triggerer in one container, whose command is `scheduler`).
pub fn container_of(component: super::Component) -> &'static str {
    match component {
        super::Component::Scheduler
        | super::Component::DagProcessor
        | super::Component::Triggerer => "scheduler",
        super::Component::WebServer => "webserver",
        super::Component::Worker => "worker",
    }
}

/// Tasks that a worker with these variables runs at once: the first number of `celery.worker_autoscale` (facts:
/// "Workers"), or what its class gives it where that is none.
pub fn slots(variables: &Variables, class: &str) -> u32 {
    let given = variables.get("AIRFLOW__CELERY__WORKER_AUTOSCALE");
    let first = given.and_then(|given| given.split(',').next()?.trim().parse().ok());
    first.filter(|slots| *slots > 0).unwrap_or(class_of(class).slots)
}

/// The queues that Celery may use, by name, as `celery_config.py` reads them.
pub fn queues(queue_name: &str, queue_url: &str) -> (&'static str, String) {
    ("WINDTUNNEL_QUEUES", format!(r#"{{"{queue_name}": "{queue_url}"}}"#))
}

/// What a component is to call the machine it runs on: on MWAA each has one of its own, and tasks show it. Names of
/// this kind are the loopback address, so that nobody looks for them elsewhere.
pub fn hostname(instance: &str) -> (&'static str, String) {
    ("WINDTUNNEL_HOSTNAME", format!("{instance}.localhost"))
}

fn set(variables: &mut Variables, pairs: &[(&str, &str)]) {
    variables.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
}

/// Airflow's own `core.parallelism`. Bounds of workers move without a launch, so a low one is not taken down to.
const PARALLELISM_MIN: u32 = 32;

fn class_defaults(below: &mut Variables, wiring: &Wiring<'_>) {
    let class = class_of(wiring.class);
    // Divergence(one-scheduler): MWAA divides this by the number of schedulers; ours is one.
    let parallelism = wiring.max_workers.saturating_mul(class.slots).saturating_mul(3) / 2;
    let triggers = if wiring.recipe.major == 2 {
        "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY"
    } else {
        "AIRFLOW__TRIGGERER__CAPACITY"
    };
    let parsing = if wiring.recipe.major == 2 {
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES"
    } else {
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES"
    };
    set(
        below,
        &[
            ("AIRFLOW__CELERY__WORKER_AUTOSCALE", &format!("{},0", class.slots)),
            ("AIRFLOW__CORE__PARALLELISM", &parallelism.max(PARALLELISM_MIN).to_string()),
            (parsing, &class.parsing_processes.to_string()),
            (triggers, &class.triggers.to_string()),
        ],
    );
}

fn opinionated(below: &mut Variables) {
    set(
        below,
        &[
            // Divergence(task-interpreter): MWAA's True costs about 4 s a task; a project can ask for it.
            ("AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER", "False"),
            ("AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES", "proxy,proxies"),
            ("AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION", "False"),
            ("AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT", "1800"),
            (
                "AIRFLOW__SECRETS__BACKEND_KWARGS",
                r#"{"connections_lookup_pattern": "^(?!aws_default$).*$"}"#,
            ),
            ("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False"),
            ("AIRFLOW_CONN_AWS_DEFAULT", "aws://"),
            ("SQLALCHEMY_SILENCE_UBER_WARNING", "1"),
            ("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "True"),
            ("AIRFLOW__CELERY__SYNC_PARALLELISM", "1"),
            ("AIRFLOW__CORE__HOSTNAME_CALLABLE", "sitecustomize.hostname"),
            ("AIRFLOW__LOGGING__COLORED_CONSOLE_LOG", "False"),
        ],
    );
}

/// Variables that MWAA restores after the startup script.
fn protected(above: &mut Variables, wiring: &Wiring<'_>) {
    let path = |path: &Path| path.display().to_string();
    let execution = format!("Amazon_MWAA_{}", wiring.recipe.version.replace('.', ""));
    set(
        above,
        &[
            ("AIRFLOW_HOME", &path(wiring.home)),
            ("AIRFLOW_VERSION", wiring.recipe.version),
            ("AWS_REGION", wiring.region),
            ("AWS_DEFAULT_REGION", wiring.region),
            ("AWS_EXECUTION_ENV", &execution),
            ("CUSTOMER_ACCOUNT_ID", wiring.account),
            ("PYTHONPATH", &path(wiring.code)),
            ("PYTHONUNBUFFERED", "1"),
            // Seconds until the worker ends a process that it has no more work for. Celery's 30 keep some 50 MB each
            // that long; a new one is forked in milliseconds.
            ("AUTOSCALE_KEEPALIVE", "5"),
            // How code in the environment reaches our endpoint instead of AWS: on MWAA, the role does that.
            ("AWS_ENDPOINT_URL", wiring.endpoint_url),
            ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ACCESS_KEY_ID", wiring.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", wiring.secret_access_key),
            ("AWS_CA_BUNDLE", &path(wiring.ca_bundle)),
            ("REQUESTS_CA_BUNDLE", &path(wiring.ca_bundle)),
            ("SSL_CERT_FILE", &path(wiring.ca_bundle)),
        ],
    );
}

fn essential(above: &mut Variables, wiring: &Wiring<'_>) {
    let path = |path: &Path| path.display().to_string();
    let broker = format!("sqs://{}", wiring.broker);
    let results = format!("db+{}", wiring.database_url);
    let (queues_name, queues) = queues(wiring.queue_name, wiring.queue_url);
    set(
        above,
        &[
            ("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor"),
            ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
            ("AIRFLOW__CORE__FERNET_KEY", wiring.fernet_key),
            ("AIRFLOW__CORE__DAGS_FOLDER", &path(wiring.dags)),
            ("AIRFLOW__CORE__PLUGINS_FOLDER", &path(wiring.plugins)),
            ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", wiring.database_url),
            // The schema is ours: a copy of a template made for this very version.
            ("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False"),
            ("AIRFLOW__CELERY__BROKER_URL", &broker),
            ("AIRFLOW__CELERY__RESULT_BACKEND", &results),
            ("AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS", "celery_config.CELERY_CONFIG"),
            ("AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL", "False"),
            ("AIRFLOW__OPERATORS__DEFAULT_QUEUE", wiring.queue_name),
            (queues_name, &queues),
            ("AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR", "True"),
            ("AIRFLOW__LOGGING__BASE_LOG_FOLDER", &path(wiring.task_logs)),
            ("WINDTUNNEL_WEB_SECRET", wiring.proxy_secret),
        ],
    );
}

/// MWAA's Airflow always sends, and a sidecar leaves out what the options name; here Airflow itself leaves it out. The
/// tags are ours: with them a metric is known for what it is.
fn metrics(above: &mut Variables, wiring: &Wiring<'_>) {
    let (address, prefix) = wiring.statsd;
    set(
        above,
        &[
            ("AIRFLOW__METRICS__STATSD_HOST", &address.ip().to_string()),
            ("AIRFLOW__METRICS__STATSD_PORT", &address.port().to_string()),
            ("AIRFLOW__METRICS__STATSD_PREFIX", prefix),
            ("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True"),
            ("AIRFLOW__METRICS__STATSD_DATADOG_ENABLED", "False"),
        ],
    );
    above.entry("AIRFLOW__METRICS__STATSD_ON".to_owned()).or_insert_with(|| "True".to_owned());
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static LOGS: LazyLock<(EnvironmentName, Levels)> = LazyLock::new(|| {
        let level = logging::Level { enabled: true, name: "INFO".to_owned() };
        let levels = Levels(std::array::from_fn(|_| level.clone()));
        (EnvironmentName::parse("dev").expect("a name"), levels)
    });

    fn wired(options: &BTreeMap<String, String>) -> Wiring<'_> {
        Wiring {
            recipe: crate::airflow::recipe("2.10.3").expect("the recipe is there"),
            logging: Some((&LOGS.0, &LOGS.1)),
            class: "mw1.medium",
            max_workers: 10,
            home: Path::new("/h"),
            dags: Path::new("/h/dags"),
            plugins: Path::new("/h/plugins"),
            has_plugins: false,
            task_logs: Path::new("/h/logs"),
            code: Path::new("/h/python"),
            database_url: "postgresql+psycopg2://airflow@/airflow?host=/s",
            broker: ([127, 0, 0, 1], 4570).into(),
            queue_name: "q",
            queue_url: "http://127.0.0.1:4570/123456789012/q",
            statsd: (([127, 0, 0, 1], 8125).into(), "airflow.dev.2_10_3"),
            base_url: "https://localhost:8080",
            fernet_key: "f",
            web_secret_key: "w",
            token_secret: "t",
            proxy_secret: "p",
            options,
            endpoint_url: "http://127.0.0.1:4570",
            region: "eu-west-1",
            account: "123456789012",
            access_key_id: "a",
            secret_access_key: "s",
            ca_bundle: Path::new("/h/ca.pem"),
        }
    }

    #[test]
    fn an_option_beats_a_default_and_no_option_beats_an_essential() {
        let options = BTreeMap::from([
            ("core.execute_tasks_new_python_interpreter".to_owned(), "True".to_owned()),
            ("core.executor".to_owned(), "LocalExecutor".to_owned()),
            ("foo.user".to_owned(), "me".to_owned()),
        ]);
        let layers = layers(&wired(&options));
        let name = "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER";
        assert_eq!(layers.below[name], "False");
        assert_eq!(layers.above[name], "True");
        assert_eq!(layers.above["AIRFLOW__CORE__EXECUTOR"], "CeleryExecutor");
        assert_eq!(layers.above["AIRFLOW__FOO__USER"], "me");
    }

    #[test]
    fn metrics_are_sent_to_us_unless_an_option_says_not_at_all() {
        let none = BTreeMap::new();
        let sent = layers(&wired(&none)).above;
        assert_eq!(sent["AIRFLOW__METRICS__STATSD_ON"], "True");
        assert_eq!(sent["AIRFLOW__METRICS__STATSD_PORT"], "8125");
        let off = BTreeMap::from([
            ("metrics.statsd_on".to_owned(), "False".to_owned()),
            ("metrics.statsd_port".to_owned(), "1".to_owned()),
        ]);
        let kept = layers(&wired(&off)).above;
        assert_eq!(kept["AIRFLOW__METRICS__STATSD_ON"], "False");
        assert_eq!(kept["AIRFLOW__METRICS__STATSD_PORT"], "8125");
    }

    #[test]
    fn the_class_decides_the_slots() {
        let options = BTreeMap::new();
        let below = layers(&wired(&options)).below;
        assert_eq!(below["AIRFLOW__CELERY__WORKER_AUTOSCALE"], "10,0");
        assert_eq!(below["AIRFLOW__CORE__PARALLELISM"], "150");
        assert_eq!(slots(&below, "mw1.micro"), 10, "as the worker is really told");
        assert_eq!(slots(&Variables::new(), "mw1.micro"), 3);
    }

    #[test]
    fn task_logs_go_to_the_environments_own_group_whatever_the_project_says() {
        let options = BTreeMap::from([("logging.remote_logging".to_owned(), "False".to_owned())]);
        let layers = layers(&wired(&options));
        assert_eq!(layers.above["AIRFLOW__LOGGING__REMOTE_LOGGING"], "True");
        assert_eq!(
            layers.above["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"],
            "cloudwatch://arn:aws:logs:eu-west-1:123456789012:log-group:airflow-dev-Task"
        );
    }
}
