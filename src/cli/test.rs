//! `windtunnel test`: pytest in a fork of the warm interpreter, with windtunnel's fixtures.
//!
//! The fixtures are `python/windtunnel_pytest.py`; how pytest is started, `runtime/python/windtunnel_test.py`.

use std::process::ExitCode;

use super::failure::Failure;
use super::{Place, workbench};
use crate::runtime::process::workbench::Run;

/// Run pytest inside the environment, with fixtures that run DAGs and tasks
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "pytest",
    after_help = "Examples:\n  \
    windtunnel test\n  \
    windtunnel test tests/test_etl.py -k nightly --pdb\n  \
    windtunnel test -n 2 --junitxml report.xml\n  \
    windtunnel test --ci --cov dags\n\n\
    Needs no running windtunnel; the AWS services of one that runs are used, others start when a test asks.\n\
    The fixtures are told in docs/testing.md. Exits as pytest does."
)]
pub(super) struct Test {
    /// For a bare runner: nothing is kept, and a running windtunnel is left alone
    #[arg(long)]
    ci: bool,
    /// End the warm interpreter afterwards
    #[arg(long)]
    no_daemon: bool,
    /// Wait for a debugger on this port before the tests begin
    #[arg(long, value_name = "PORT")]
    debugpy: Option<u16>,
    /// pytest's own words
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PYTEST ARGS")]
    argv: Vec<String>,
}

pub(super) async fn run(place: &Place, asked: Test) -> Result<ExitCode, Failure> {
    let config = workbench::config(place)?;
    let bench = workbench::open(place, &config).await.map_err(|e| workbench::unfit(&e))?;
    let session = workbench::session(&bench)?;
    let mut env = session.variables();
    env.extend(workbench::services(place, &config, !asked.ci).await);
    if let Some(port) = asked.debugpy {
        env.insert("WINDTUNNEL_DEBUGPY".to_owned(), Some(port.to_string()));
    }
    let mut argv = asked.argv;
    // The project's folder is the person's own.
    let cache = bench.home.join("pytest_cache");
    argv.extend(["-o".to_owned(), format!("cache_dir={}", cache.display())]);
    let run = Run {
        call: Some("windtunnel_test:main".to_owned()),
        argv,
        env,
        cwd: Some(place.machine.folder.clone()),
        tty: workbench::terminal(),
        stdin: false,
    };
    let code = workbench::relay(&bench, &run).await;
    if asked.ci || asked.no_daemon {
        // It would end by itself as well.
        bench.stop().await.ok();
    }
    code
}
