//! What launches have said since windtunnel started: the stage an environment is in, and the lines it printed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::id::EnvironmentName;
use crate::limits::LAUNCH_LINES_KEPT;
use crate::runtime::{Report, Stage};

/// The newest launch of each environment.
#[derive(Debug)]
pub(super) struct Launches {
    clock: Clock,
    by_name: Mutex<BTreeMap<EnvironmentName, Vec<Step>>>,
    changes: watch::Sender<u64>,
}

/// A stage of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    stage: &'static str,
    /// Milliseconds since the Unix epoch.
    began_ms: i64,
    /// Null while it goes on.
    took_ms: Option<u64>,
    cached: bool,
    lines: Vec<String>,
}

impl Launches {
    pub(super) fn new(clock: Clock) -> Launches {
        Launches { clock, by_name: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Listens until the end.
    pub(super) async fn follow(
        &self,
        mut reports: broadcast::Receiver<(EnvironmentName, Report)>,
        stop: CancellationToken,
    ) {
        loop {
            let heard = tokio::select! {
                heard = reports.recv() => heard,
                () = stop.cancelled() => return,
            };
            match heard {
                Ok((name, report)) => self.hear(name, report),
                // Lines were lost, stages are few: the next report puts it right.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn hear(&self, name: EnvironmentName, report: Report) {
        let now = self.clock.now();
        let mut by_name = self.by_name.lock().expect("nothing panics under this lock");
        tell(by_name.entry(name).or_default(), report, now);
        drop(by_name);
        self.changes.send_modify(|count| *count += 1);
    }

    /// The stages of the newest launch, in the order they began.
    pub(super) fn of(&self, name: &EnvironmentName) -> Vec<Step> {
        let by_name = self.by_name.lock().expect("nothing panics under this lock");
        by_name.get(name).cloned().unwrap_or_default()
    }

    /// Changes with every report.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A stage begins once in a launch, so one that begins again begins the next launch.
fn tell(steps: &mut Vec<Step>, report: Report, now: Timestamp) {
    match report {
        Report::Began(stage) => {
            if steps.iter().any(|step| step.stage == stage.name()) {
                steps.clear();
            }
            steps.push(Step::begun(stage, now));
        }
        Report::Said(stage, line) => {
            if !steps.iter().any(|step| step.stage == stage.name()) {
                steps.push(Step::begun(stage, now));
            }
            let step = steps.iter_mut().find(|step| step.stage == stage.name());
            let step = step.expect("it was there, or was just put there");
            if step.lines.len() < LAUNCH_LINES_KEPT {
                step.lines.push(line);
            }
        }
        Report::Done { stage, took, cached } => {
            if let Some(step) = steps.iter_mut().find(|step| step.stage == stage.name()) {
                step.took_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                step.cached = cached;
            }
        }
    }
}

impl Step {
    fn begun(stage: Stage, now: Timestamp) -> Step {
        Step {
            stage: stage.name(),
            began_ms: now.as_millis(),
            took_ms: None,
            cached: false,
            lines: Vec::new(),
        }
    }
}

#[cfg(test)]
impl Step {
    /// For samples of messages.
    pub(super) fn sample() -> Step {
        let lines = vec!["uv is not on the PATH; installing a private copy".to_owned()];
        let took_ms = Some(6300);
        Step {
            took_ms,
            lines,
            ..Step::begun(Stage::Tools, Timestamp::from_millis(1_700_000_000_000))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stage_that_begins_again_begins_the_next_launch() {
        let at = Timestamp::from_millis;
        let mut steps = Vec::new();
        tell(&mut steps, Report::Began(Stage::Install), at(1));
        tell(&mut steps, Report::Said(Stage::Install, "uv".to_owned()), at(2));
        let took = Duration::from_millis(5);
        tell(&mut steps, Report::Done { stage: Stage::Install, took, cached: true }, at(6));
        tell(&mut steps, Report::Began(Stage::Database), at(7));
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].took_ms, steps[0].cached), (Some(5), true));
        assert_eq!(steps[0].lines, ["uv"]);
        tell(&mut steps, Report::Began(Stage::Install), at(9));
        assert_eq!(steps, [Step::begun(Stage::Install, at(9))]);
    }
}
