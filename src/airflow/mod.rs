//! What Airflow is: versions, components, environment classes, permitted CLI verbs. Touches nothing.

pub mod permitted;

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
    /// The base environment's pins, resolved by us for the version's release date.
    pub lock: &'static str,
    /// The pins that MWAA lets no requirement change (facts: MWAA's images).
    pub essential: &'static str,
    /// The REST API's version: `v1` for Airflow 2.
    pub rest: &'static str,
}

/// The recipes, newest first. The first one is the default.
pub static RECIPES: &[&Recipe] = &[];

/// The recipe for `version`, if we have one.
pub fn recipe(version: &str) -> Option<&'static Recipe> {
    RECIPES.iter().copied().find(|recipe| recipe.version == version)
}
