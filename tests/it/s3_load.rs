//! S3 under many clients at once, and under `aws s3 sync` of many files.

use std::fs;

use crate::support::{Project, figure};

/// What the process may have in memory after the load, however many clients there were.
const MEMORY_MAX_MB: u64 = 400;
const FILES: usize = 5_000;

/// Resident memory in MB; `None` where there is no /proc.
fn memory_mb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// The short form; `make bench` runs it for a minute.
#[test]
fn sixty_four_clients_see_no_error() {
    let project = Project::empty("load");
    let up = project.up_without_airflow();
    up.python("s3_load.py", &["64", "5"]);
    if let Some(mb) = memory_mb(up.pid()) {
        figure("S3 under 64 clients, most memory", &format!("{mb} MB"));
        assert!(mb < MEMORY_MAX_MB, "{mb} MB");
    }
}

#[test]
fn a_sync_of_five_thousand_files_moves_each_once() {
    let project = Project::empty("sync");
    let up = project.up_without_airflow();
    for number in 0..FILES {
        let folder = number % 50;
        project.write(&format!("tree/d{folder}/f{number}.txt"), &format!("file {number}"));
    }
    up.aws(&["s3", "mb", "s3://synced"]);
    let lines = |from: &str, to: &str| up.aws(&["s3", "sync", "--no-progress", from, to]);
    assert_eq!(lines("tree", "s3://synced/tree").lines().count(), FILES);
    assert_eq!(lines("tree", "s3://synced/tree"), "", "a second sync moves nothing");
    assert_eq!(lines("s3://synced/tree", "back").lines().count(), FILES);
    assert_eq!(lines("s3://synced/tree", "back"), "", "a second sync moves nothing");
    for number in 0..FILES {
        let file = format!("d{}/f{number}.txt", number % 50);
        let text = fs::read_to_string(project.path(&format!("back/{file}")));
        assert_eq!(text.expect("it came back"), format!("file {number}"));
    }
}
