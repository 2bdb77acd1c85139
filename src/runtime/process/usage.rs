//! What components take of the machine, as the system counts it. Where it has no `/proc`, nothing is known.

use std::collections::HashMap;
use std::path::Path;

use crate::runtime::{ComponentState, Usage};

/// Ticks in which Linux tells of processor time, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// What each component that runs has used, with all that it has started.
pub(super) async fn of(states: Vec<ComponentState>) -> Vec<Usage> {
    let looked = tokio::task::spawn_blocking(move || look(&states)).await;
    looked.unwrap_or_default()
}

#[derive(Debug, Default)]
struct Sum {
    ticks: u64,
    memory_bytes: u64,
}

fn look(states: &[ComponentState]) -> Vec<Usage> {
    // Every component leads a session of its own.
    let mut sessions: HashMap<u32, Sum> =
        states.iter().filter_map(|state| Some((state.pid?, Sum::default()))).collect();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.path();
        let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { continue };
        let Some((session, ticks)) = session_and_ticks(&stat) else { continue };
        if let Some(sum) = sessions.get_mut(&session) {
            sum.ticks += ticks;
            sum.memory_bytes += memory(&process).unwrap_or_default();
        }
    }
    let usage = |state: &ComponentState| {
        let pid = state.pid?;
        let sum = sessions.get(&pid).filter(|sum| sum.memory_bytes > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "ticks of a process fit 53 bits")]
        let cpu_seconds = sum.ticks as f64 / TICKS_PER_SECOND;
        Some(Usage {
            component: state.component,
            number: state.number,
            pid,
            cpu_seconds,
            memory_bytes: sum.memory_bytes,
        })
    };
    states.iter().filter_map(usage).collect()
}

/// The time of the process and of its children that have ended.
fn session_and_ticks(stat: &str) -> Option<(u32, u64)> {
    // The name in front may hold anything, brackets and spaces too.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let session = fields.get(3)?.parse().ok()?;
    let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some((session, ticks))
}

/// A process's own memory and its share of what it has in common with others: they were forked.
fn memory(process: &Path) -> Option<u64> {
    let rollup = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_line_is_read_whatever_its_name() {
        let stat = "42 (a) (b) S 1 42 40 0 -1 4194560 9 9 0 0 7 5 2 1 20 0 1 0 100 1 1";
        assert_eq!(session_and_ticks(stat), Some((40, 15)));
        assert_eq!(session_and_ticks("42 (a"), None);
    }
}
