//! The table of versions: one that MWAA runs is one recipe here.

use super::{Component, Recipe, Start};

/// The version of an environment that names none.
// Divergence(default-version): MWAA gives the newest it has.
pub const DEFAULT: &str = "2.10.3";

/// The recipes, newest first.
pub static RECIPES: &[&Recipe] =
    &[&V3_3_1, &V3_2_1, &V3_0_6, &V2_11_2, &V2_11_0, &V2_10_3, &V2_10_1, &V2_9_2];

static V3_3_1: Recipe = Recipe {
    version: "3.3.1",
    packages: include_str!("locks/3.3.1.in"),
    lock: include_str!("locks/3.3.1-py3.11.txt"),
    essential: include_str!("locks/3.3.1-essential.txt"),
    ..THREE
};

static V3_2_1: Recipe = Recipe {
    version: "3.2.1",
    packages: include_str!("locks/3.2.1.in"),
    lock: include_str!("locks/3.2.1-py3.11.txt"),
    essential: include_str!("locks/3.2.1-essential.txt"),
    ..THREE
};

static V3_0_6: Recipe = Recipe {
    version: "3.0.6",
    packages: include_str!("locks/3.0.6.in"),
    lock: include_str!("locks/3.0.6-py3.11.txt"),
    essential: include_str!("locks/3.0.6-essential.txt"),
    ..THREE
};

static V2_11_2: Recipe = Recipe {
    version: "2.11.2",
    packages: include_str!("locks/2.11.2.in"),
    lock: include_str!("locks/2.11.2-py3.11.txt"),
    essential: include_str!("locks/2.11.2-essential.txt"),
    ..TWO
};

static V2_11_0: Recipe = Recipe {
    version: "2.11.0",
    packages: include_str!("locks/2.11.0.in"),
    lock: include_str!("locks/2.11.0-py3.11.txt"),
    essential: include_str!("locks/2.11.0-essential.txt"),
    ..TWO
};

static V2_10_3: Recipe = Recipe {
    version: "2.10.3",
    python: "3.11",
    pythons: &["3.11", "3.12"],
    packages: include_str!("locks/2.10.3.in"),
    lock: include_str!("locks/2.10.3-py3.11.txt"),
    essential: include_str!("locks/2.10.3-essential.txt"),
    ..TWO
};

static V2_10_1: Recipe = Recipe {
    version: "2.10.1",
    python: "3.11",
    pythons: &["3.11", "3.12"],
    packages: include_str!("locks/2.10.1.in"),
    lock: include_str!("locks/2.10.1-py3.11.txt"),
    essential: include_str!("locks/2.10.1-essential.txt"),
    ..TWO
};

static V2_9_2: Recipe = Recipe {
    version: "2.9.2",
    python: "3.11",
    pythons: &["3.11", "3.12"],
    packages: include_str!("locks/2.9.2.in"),
    lock: include_str!("locks/2.9.2-py3.11.txt"),
    essential: include_str!("locks/2.9.2-essential.txt"),
    ..TWO
};

/// What all of Airflow 2 has in common.
const TWO: Recipe = Recipe {
    version: "",
    major: 2,
    python: "3.12",
    pythons: &["3.12", "3.11"],
    packages: "",
    lock: "",
    essential: "",
    rest: "v1",
    health: "/health",
    zygote: "airflow2",
    template: "template2.py",
    components: COMPONENTS,
    start: start_2,
};

/// What all of Airflow 3 has in common.
const THREE: Recipe = Recipe {
    version: "",
    major: 3,
    python: "3.12",
    pythons: &["3.12", "3.13", "3.11"],
    packages: "",
    lock: "",
    essential: "",
    rest: "v2",
    health: "/api/v2/monitor/health",
    zygote: "airflow3",
    template: "template3.py",
    components: COMPONENTS,
    start: start_3,
};

/// The slowest to start first.
const COMPONENTS: &[Component] = &[
    Component::WebServer,
    Component::Scheduler,
    Component::DagProcessor,
    Component::Triggerer,
    Component::Worker,
];

fn start_2(component: Component) -> Start {
    start(component, Start::Listener("recipe:webserver"))
}

fn start_3(component: Component) -> Start {
    start(component, Start::Server("recipe:webserver"))
}

/// Log servers are left out: task logs are files that the web server reads itself. Celery's mingling and gossip
/// need a broadcast that SQS does not have.
fn start(component: Component, web_server: Start) -> Start {
    match component {
        Component::WebServer => web_server,
        Component::Scheduler => Start::Airflow(&["scheduler", "--skip-serve-logs"]),
        Component::DagProcessor => Start::Airflow(&["dag-processor"]),
        Component::Triggerer => Start::Airflow(&["triggerer", "--skip-serve-logs"]),
        Component::Worker => Start::Airflow(&[
            "celery",
            "worker",
            "--skip-serve-logs",
            "--without-mingle",
            "--without-gossip",
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airflow::recipe;

    #[test]
    fn every_version_is_installed_from_a_lock_of_its_own() {
        for recipe in RECIPES {
            let pinned = format!("apache-airflow=={}\n", recipe.version);
            assert!(recipe.lock.contains(&pinned), "the lock of {}", recipe.version);
            assert!(recipe.essential.contains(&pinned), "the pins of {}", recipe.version);
            assert_eq!(recipe.pythons.first(), Some(&recipe.python), "{}", recipe.version);
            assert!(recipe.version.starts_with(&recipe.major.to_string()), "{}", recipe.version);
        }
        assert!(recipe(DEFAULT).is_some());
    }
}
