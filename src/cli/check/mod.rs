//! `windtunnel check`: imports every DAG where it can disturb no other, and looks at what else MWAA would stumble over.
//!
//! The work is done by `runtime/python/windtunnel_check.py` in the warm interpreter. Here: what is asked for, what the
//! files mean together, and how it is told.

mod finding;
mod format;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use self::finding::{Checked, Finding, Severity, duplicates, shorten};
use self::format::Format;
use super::client::Client;
use super::failure::{Failure, NO};
use super::{Place, terminal, workbench};
use crate::config::Config;
use crate::limits;
use crate::runtime::LaunchError;
use crate::runtime::process::workbench::{Run, Said, Session, Workbench};

/// Import every DAG and check requirements, plugins and startup script against what MWAA allows
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "parse",
    after_help = "Examples:\n  \
    windtunnel check\n  \
    windtunnel check dags/etl.py\n  \
    windtunnel check --format sarif > check.sarif\n\n\
    Needs no running windtunnel; one that runs is asked for its connections, variables and pools.\n\
    The interpreter stays warm for the next call and ends by itself (`windtunnel down` ends it at once).\n\n\
    Exits with 1 when there is an error."
)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are typed")]
pub(super) struct Check {
    /// Only these files or folders
    #[arg(value_name = "PATHS")]
    paths: Vec<PathBuf>,
    /// How to write what is found
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Import every file, also those where nothing has changed since the last check
    #[arg(long)]
    no_cache: bool,
    /// End the warm interpreter afterwards
    #[arg(long)]
    no_daemon: bool,
    /// For a bare runner: --no-cache --no-daemon
    #[arg(long)]
    ci: bool,
}

/// Everything that a check has to tell.
#[derive(Debug)]
pub(super) struct Report {
    files: Vec<Checked>,
    findings: Vec<Finding>,
    /// What the startup script took when it was run.
    startup_seconds: Option<f64>,
    seconds: f64,
}

impl Report {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|one| one.severity == severity).count()
    }
}

pub(super) async fn run(place: &Place, asked: &Check) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let config = workbench::config(place)?;
    let mut report = match workbench::open(place, &config).await {
        Ok(bench) => {
            let report = look(place, asked, &config, &bench).await;
            if asked.no_daemon || asked.ci {
                // It would end by itself as well.
                bench.stop().await.ok();
            }
            report?
        }
        Err(error) => unprepared(place, &error)?,
    };
    report.seconds = began.elapsed().as_secs_f64();
    let format = if asked.json { Format::Json } else { asked.format };
    terminal::raw_result(format::write(&report, format, &place.machine.folder).as_bytes());
    let bad =
        report.count(Severity::Error) > 0 || (asked.strict && report.count(Severity::Warning) > 0);
    Ok(ExitCode::from(if bad { NO } else { 0 }))
}

/// Requirements that do not resolve or a startup script that fails: a finding, where it names its file.
fn unprepared(place: &Place, error: &LaunchError) -> Result<Report, Failure> {
    let text = format!("{} {}", error.why, error.what);
    let known = |word: &str| {
        let (file, rest) = word.split_once(':').unwrap_or((word, ""));
        let file = PathBuf::from(file);
        let fits = file.extension().is_some_and(|e| e == "txt" || e == "sh" || e == "zip");
        let line = rest.trim_end_matches(':').parse().ok();
        (fits && place.machine.folder.join(&file).is_file()).then_some((file, line))
    };
    let named = text.split([' ', '(', '`']).filter_map(known);
    // The reason may have the line.
    let named = named.max_by_key(|(_, line): &(_, Option<u32>)| line.is_some());
    let Some((file, line)) = named else { return Err(workbench::unfit(error)) };
    let code = match file.extension().and_then(|extension| extension.to_str()) {
        Some("txt") => "requirements",
        Some("sh") => "startup-script",
        _ => "plugins",
    };
    let finding = Finding {
        code: code.to_owned(),
        severity: Severity::Error,
        file,
        line,
        message: error.to_string(),
        help: Some(format!("{}; DAGs are imported once this works", error.next)),
        traceback: Some(error.detail.clone()).filter(|detail| !detail.is_empty()),
        wants: None,
    };
    let (files, findings) = (Vec::new(), vec![finding]);
    Ok(Report { files, findings, startup_seconds: None, seconds: 0.0 })
}

/// Has the interpreter look at the files, and puts together what it says.
async fn look(
    place: &Place,
    asked: &Check,
    config: &Config,
    bench: &Workbench,
) -> Result<Report, Failure> {
    let session = bench.session().map_err(|error| {
        Failure::cannot("make a database for the check", &error, "free some disk space")
    })?;
    let mut told = Told::default();
    listen(bench, request(place, asked, config, (bench, &session)), &mut told).await?;
    let Told { mut files, mut findings } = told;
    for file in &mut files {
        findings.append(&mut file.findings);
    }
    missing_elsewhere(config, &mut findings).await;
    for file in &mut files {
        shorten(&mut file.file, &place.machine.folder);
        file.dags.iter_mut().for_each(|dag| shorten(&mut dag.file, &place.machine.folder));
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    for finding in &mut findings {
        shorten(&mut finding.file, &place.machine.folder);
    }
    findings.extend(duplicates(&files));
    findings.extend(slow_startup(place, config, bench.startup));
    findings.sort_by(|a, b| (&a.file, a.line, a.severity).cmp(&(&b.file, b.line, b.severity)));
    let startup_seconds = bench.startup.map(|took| took.as_secs_f64());
    Ok(Report { files, findings, startup_seconds, seconds: 0.0 })
}

/// What the interpreter has said so far.
#[derive(Default)]
struct Told {
    files: Vec<Checked>,
    findings: Vec<Finding>,
}

/// One line of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    File(Checked),
    Plugins {
        plugins: Plugins,
    },
    Done {
        #[serde(rename = "done")]
        _done: Value,
    },
}

#[derive(Deserialize)]
struct Plugins {
    findings: Vec<Finding>,
}

async fn listen(bench: &Workbench, run: Run, told: &mut Told) -> Result<(), Failure> {
    let lost = |error: &std::io::Error| {
        let log = bench.home.join("logs/interpreter.log");
        Failure::cannot("check the DAGs", error, &format!("try again; see {}", log.display()))
    };
    let mut running = bench.run(&run).await.map_err(|error| lost(&error))?;
    let (mut unread, mut words) = (Vec::new(), Vec::new());
    let mut done = false;
    loop {
        match running.next().await.map_err(|error| lost(&error))? {
            Said::Stdout(bytes) => {
                unread.extend(bytes);
                while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = unread.drain(..=end).collect();
                    match serde_json::from_slice(&line) {
                        Ok(Line::File(file)) => told.files.push(file),
                        Ok(Line::Plugins { plugins }) => told.findings.extend(plugins.findings),
                        Ok(Line::Done { .. }) => done = true,
                        // The project's own code may print where it is loaded for all files.
                        Err(_) => words.extend(line),
                    }
                }
            }
            Said::Stderr(bytes) => words.extend(bytes),
            Said::Ended(_) if done => return Ok(()),
            Said::Ended(code) => {
                terminal::raw_note(&words);
                return Err(Failure::new("the check did not come to its end")
                    .why(format!("its process ended with exit code {code}"))
                    .next("look at what the plugins and airflow_local_settings.py do when they are loaded")
                    .code(NO));
            }
        }
    }
}

fn request(
    place: &Place,
    asked: &Check,
    config: &Config,
    (bench, session): (&Workbench, &Session),
) -> Run {
    let options = &workbench::environment(config).airflow_configuration_options;
    let files: Vec<PathBuf> =
        asked.paths.iter().map(|path| place.machine.folder.join(path)).collect();
    // What a secrets backend holds cannot be seen from here.
    let none = (!options.contains_key("secrets.backend")).then(Vec::<String>::new);
    let deadline = options.get("core.dagbag_import_timeout");
    let deadline = deadline.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0.0);
    let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let cache = bench.home.join("check.json");
    let request = json!({
        "project": config.project,
        "dags": config.layout.dags,
        "plugins": bench.plugins,
        "files": (!files.is_empty()).then_some(files),
        "jobs": jobs,
        "deadline_seconds": deadline.unwrap_or(limits::DAG_IMPORT_MAX_SECONDS),
        "memory_bytes": limits::DAG_IMPORT_MAX_BYTES,
        "slow_seconds": limits::DAG_IMPORT_SLOW_SECONDS,
        "known": { "connection": none, "variable": none, "pool": [] },
        "cache": (!asked.no_cache && !asked.ci).then_some(cache),
        "key": bench.key,
    });
    Run {
        call: Some("windtunnel_check:main".to_owned()),
        argv: vec![request.to_string()],
        env: session.variables(),
        cwd: Some(session.folder().to_owned()),
        ..Run::default()
    }
}

/// Drops what a running windtunnel of the project has.
async fn missing_elsewhere(config: &Config, findings: &mut Vec<Finding>) {
    let wanted = |kind: &str| {
        findings.iter().any(|one| one.wants.as_ref().is_some_and(|(wanted, _)| wanted == kind))
    };
    let kinds = [
        ("connection", "connections", "conn_id"),
        ("variable", "variables", "key"),
        ("pool", "pools", "pool"),
    ];
    let kinds: Vec<_> = kinds.into_iter().filter(|(kind, _, _)| wanted(kind)).collect();
    if kinds.is_empty() {
        return;
    }
    let Some((client, _)) = Client::running(&config.state).await else { return };
    for (kind, verb, column) in kinds {
        let call = json!({ "argv": [verb, "list", "--output", "json"] });
        let Ok(answer) = client.post("/console/v1/airflow", &call).await else { continue };
        let known = listed(&answer, column);
        findings.retain(|one| {
            one.wants.as_ref().is_none_or(|(wanted, name)| wanted != kind || !known.contains(name))
        });
    }
}

/// One column of what an `airflow … list` has printed.
fn listed(answer: &Value, column: &str) -> Vec<String> {
    use base64::Engine as _;
    let text = answer["stdout"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // Airflow may print warnings before it.
    let rows = text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    let rows = rows.as_ref().and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|row| row[column].as_str().map(str::to_owned)).collect()
}

/// Half of MWAA's limit: there the script runs on a smaller machine.
fn slow_startup(place: &Place, config: &Config, took: Option<Duration>) -> Option<Finding> {
    let limit = Duration::from_secs(limits::STARTUP_SCRIPT_MAX_SECONDS);
    let took = took.filter(|took| *took > limit / 2)?;
    let path = config.layout.startup_script.as_ref()?;
    Some(Finding {
        code: "startup-script".to_owned(),
        severity: Severity::Warning,
        file: place.machine.shown(path),
        line: None,
        message: format!("the startup script took {:.0} s", took.as_secs_f64()),
        help: Some(format!("MWAA gives up after {} s", limit.as_secs())),
        traceback: None,
        wants: None,
    })
}
