//! What Airflow is: versions, components, environment classes, permitted CLI verbs. Touches nothing.

pub mod classes;
pub mod logging;
pub mod permitted;
mod recipes;
pub mod settings;
pub mod versions;

pub use recipes::{DEFAULT, RECIPES};

use std::fmt;

/// A part of an environment that runs as a process (or container) of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    Scheduler,
    DagProcessor,
    Triggerer,
    WebServer,
    Worker,
}

impl Component {
    /// The name for people and for `logs --source`.
    pub fn name(self) -> &'static str {
        match self {
            Component::Scheduler => "scheduler",
            Component::DagProcessor => "dag-processor",
            Component::Triggerer => "triggerer",
            Component::WebServer => "webserver",
            Component::Worker => "worker",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How one Airflow version is installed and run. One more version is one more recipe.
#[derive(Debug)]
pub struct Recipe {
    /// For example `2.10.3`.
    pub version: &'static str,
    /// 2 or 3.
    pub major: u32,
    /// The Python that MWAA runs this version on, for example `3.11`.
    pub python: &'static str,
    /// Pythons this version supports, nearest to MWAA's first.
    pub pythons: &'static [&'static str],
    /// What the base environment is made of, before resolution: MWAA's always-installed packages.
    pub packages: &'static str,
    /// The base environment's pins, resolved by us for the version's release date.
    pub lock: &'static str,
    /// The pins that MWAA lets no requirement change (facts: MWAA's images).
    pub essential: &'static str,
    /// The REST API's version: `v1` for Airflow 2.
    pub rest: &'static str,
    /// The path at which the web server tells how all components are.
    pub health: &'static str,
    /// The Python module that teaches the warm interpreter this version.
    pub zygote: &'static str,
    /// The Python file that fills an empty database for this version.
    pub template: &'static str,
    /// The components of an environment, in the order in which they are started: the slowest first.
    pub components: &'static [Component],
    /// How each one is started.
    pub start: fn(Component) -> Start,
}

/// What a component runs inside the warm interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `airflow <words>`.
    Airflow(&'static [&'static str]),
    /// A function of the recipe's Python module, given the host and the port to listen on.
    Listener(&'static str),
    /// The same, on the address that the interpreter holds for the whole launch: tasks are told it once.
    Server(&'static str),
}

impl Recipe {
    /// Where the Airflow project publishes its own tested pins for this version, for `python` (`3.11`).
    pub fn constraints_url(&self, python: &str) -> String {
        let Recipe { version, .. } = self;
        format!(
            "https://raw.githubusercontent.com/apache/airflow/constraints-{version}/constraints-{python}.txt"
        )
    }
}

/// The recipe for `version`, if we have one.
pub fn recipe(version: &str) -> Option<&'static Recipe> {
    RECIPES.iter().copied().find(|recipe| recipe.version == version)
}
