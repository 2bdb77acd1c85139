//! What a start says while it is under way: spinners on a terminal, plain lines elsewhere, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::terminal;
use crate::runtime::{Report, Stage};

/// How it is said.
#[derive(Debug)]
enum Manner {
    Terminal { bars: MultiProgress, spinners: BTreeMap<&'static str, ProgressBar> },
    Plain,
    Json,
}

/// Shows one start. Times count from its making.
#[derive(Debug)]
pub(super) struct Progress {
    manner: Manner,
    began: Instant,
}

impl Progress {
    /// For the person at the terminal, or for who reads stderr.
    pub(super) fn for_people() -> Progress {
        let manner = if std::io::stderr().is_terminal() {
            Manner::Terminal { bars: MultiProgress::new(), spinners: BTreeMap::new() }
        } else {
            Manner::Plain
        };
        Progress { manner, began: Instant::now() }
    }

    /// For a program that reads stdout.
    pub(super) fn for_programs() -> Progress {
        Progress { manner: Manner::Json, began: Instant::now() }
    }

    pub(super) fn speaks_json(&self) -> bool {
        matches!(self.manner, Manner::Json)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A line for people; programs get `value` instead, where there is one.
    pub(super) fn say(&self, line: &str, value: Option<Value>) {
        match &self.manner {
            Manner::Terminal { bars, .. } => bars.suspend(|| terminal::note(line)),
            Manner::Plain => terminal::note(line),
            Manner::Json => {
                if let Some(value) = value {
                    terminal::result(&value.to_string());
                }
            }
        }
    }

    /// A step of the launch.
    pub(super) fn report(&mut self, report: &Report) {
        match report {
            Report::Began(stage) => self.began(stage.name()),
            Report::Said(stage, line) => self.said(stage.name(), line),
            Report::Done { stage, took, cached } => self.done(*stage, *took, *cached),
        }
    }

    /// What another process's [`Progress::for_programs`] wrote about a step.
    pub(super) fn relay(&mut self, line: &Value) {
        let Some(stage) = line["stage"].as_str().and_then(stage_named) else { return };
        match line["state"].as_str() {
            Some("began") => self.began(stage.name()),
            Some("said") => self.said(stage.name(), line["line"].as_str().unwrap_or_default()),
            Some("done") => {
                let took = Duration::from_secs_f64(line["seconds"].as_f64().unwrap_or(0.0));
                self.done(stage, took, line["cached"].as_bool().unwrap_or(false));
            }
            Some(_) | None => {}
        }
    }

    fn began(&mut self, stage: &'static str) {
        let at = clock(self.began.elapsed());
        match &mut self.manner {
            Manner::Terminal { bars, spinners } => {
                let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}")
                    .expect("a fixed template");
                let bar = bars.add(ProgressBar::new_spinner()).with_style(style);
                bar.set_message(stage);
                bar.enable_steady_tick(Duration::from_millis(120));
                spinners.insert(stage, bar);
            }
            Manner::Plain => terminal::note(&format!("{at}  {stage} ...")),
            Manner::Json => self.json(json!({ "stage": stage, "state": "began" })),
        }
    }

    fn said(&mut self, stage: &'static str, line: &str) {
        match &mut self.manner {
            Manner::Terminal { spinners, .. } => {
                if let Some(bar) = spinners.get(stage) {
                    let line: String = line.chars().take(70).collect();
                    bar.set_message(format!("{stage}  {line}"));
                }
            }
            Manner::Plain => {
                let at = clock(self.began.elapsed());
                terminal::note(&format!("{at}  {stage}: {line}"));
            }
            Manner::Json => self.json(json!({ "stage": stage, "state": "said", "line": line })),
        }
    }

    fn done(&mut self, stage: Stage, took: Duration, cached: bool) {
        let (name, at) = (stage.name(), clock(self.began.elapsed()));
        let how = if cached { " (cached)" } else { "" };
        let line = format!("{at}  {name}{how}, {:.1} s", took.as_secs_f64());
        match &mut self.manner {
            Manner::Terminal { bars, spinners } => {
                if let Some(bar) = spinners.remove(name) {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                }
                bars.suspend(|| terminal::note(&line));
            }
            Manner::Plain => terminal::note(&line),
            Manner::Json => {
                let seconds = took.as_secs_f64();
                self.json(
                    json!({ "stage": name, "state": "done", "seconds": seconds, "cached": cached }),
                );
            }
        }
    }

    fn json(&self, mut value: Value) {
        value["elapsed"] = json!(self.began.elapsed().as_secs_f64());
        terminal::result(&value.to_string());
    }

    /// Takes down what still spins: the launch has ended, one way or the other.
    pub(super) fn quiet(&mut self) {
        if let Manner::Terminal { spinners, .. } = &mut self.manner {
            for (_, bar) in std::mem::take(spinners) {
                bar.finish_and_clear();
            }
        }
    }
}

/// Seconds since the start, in a column of their own.
fn clock(elapsed: Duration) -> String {
    format!("{:6.1} s", elapsed.as_secs_f64())
}

fn stage_named(name: &str) -> Option<Stage> {
    const ALL: [Stage; 7] = [
        Stage::Tools,
        Stage::Install,
        Stage::Requirements,
        Stage::Database,
        Stage::StartupScript,
        Stage::Interpreter,
        Stage::Components,
    ];
    ALL.into_iter().find(|stage| stage.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_known_by_their_names() {
        assert_eq!(stage_named("requirements"), Some(Stage::Requirements));
        assert_eq!(stage_named("warm interpreter"), Some(Stage::Interpreter));
        assert_eq!(stage_named("?"), None);
    }
}
