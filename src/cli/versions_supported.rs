//! `windtunnel versions-supported`: the table of Airflow versions, and what of it is on this machine already.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::{Place, terminal};
use crate::airflow::{self, Recipe};
use crate::config;
use crate::config::flags::Flags;
use crate::runtime::process;

/// Show the Airflow versions that an environment can have, and which of them are installed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel versions-supported\n  \
    windtunnel versions-supported --json | jq -r '.versions[] | select(.cached) | .airflow'")]
pub(super) struct VersionsSupported {
    /// The same for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(place: &Place, asked: &VersionsSupported) -> Result<ExitCode, Failure> {
    let cache = config::cache(&asked.flags, &place.machine)?;
    let versions: Vec<Value> = airflow::RECIPES.iter().map(|recipe| row(recipe, &cache)).collect();
    if asked.json {
        let told = json!({ "default": airflow::DEFAULT, "versions": versions });
        terminal::result(&told.to_string());
    } else {
        terminal::raw_result(table(&versions).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn row(recipe: &Recipe, cache: &Path) -> Value {
    let cached = process::cached(cache, recipe);
    json!({
        "airflow": recipe.version,
        "python": recipe.python,
        "pythons": recipe.pythons,
        "rest": recipe.rest,
        "default": recipe.version == airflow::DEFAULT,
        "cached": cached.is_some(),
        "cached_python": cached,
    })
}

fn table(versions: &[Value]) -> String {
    let mut out = "airflow   python  rest  installed\n".to_owned();
    for version in versions {
        let text = |member: &str| version[member].as_str().unwrap_or_default().to_owned();
        let installed = match version["cached_python"].as_str() {
            None => "no: the first start downloads it".to_owned(),
            Some(python) if python == text("python") => "yes".to_owned(),
            Some(python) => format!("yes, on Python {python}"),
        };
        let default = if version["default"] == true { "  (the default)" } else { "" };
        let (airflow, python, rest) = (text("airflow"), text("python"), text("rest"));
        writeln!(out, "{airflow:<9} {python:<7} {rest:<5} {installed}{default}")
            .expect("a string can be written to");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_installed_and_what_is_the_default() {
        let rows = [
            json!({"airflow": "3.3.1", "python": "3.12", "rest": "v2", "default": true, "cached_python": "3.13"}),
            json!({"airflow": "2.10.3", "python": "3.11", "rest": "v1", "default": false, "cached_python": "3.11"}),
            json!({"airflow": "2.9.2", "python": "3.11", "rest": "v1", "default": false, "cached_python": null}),
        ];
        insta::assert_snapshot!(table(&rows), @r"
        airflow   python  rest  installed
        3.3.1     3.12    v2    yes, on Python 3.13  (the default)
        2.10.3    3.11    v1    yes
        2.9.2     3.11    v1    no: the first start downloads it
        ");
    }
}
