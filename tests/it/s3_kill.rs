//! Durability: S3 is killed in the middle of writes, a hundred times, and nothing that it acknowledged is lost.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use crate::support::{Project, Windtunnel, figure, repository};

const ROUNDS: u32 = 100;

/// `s3_kill.py`, which outlives the windtunnels that it writes to.
struct Writer {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(up: &Windtunnel<'_>) -> Writer {
        let mut child = up
            .client("python")
            .arg(repository().join("tests/clients/s3_kill.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let orders = child.stdin.take().expect("it was asked for");
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        Writer { child, orders, lines }
    }

    fn order(&mut self, words: &str) {
        writeln!(self.orders, "{words}").expect("the writer listens");
    }

    fn line(&mut self) -> String {
        let line = self.lines.next().expect("the writer lives; what it said is above");
        line.expect("it prints text")
    }

    /// Reads to the line that begins with `word`, which no refusal may precede.
    fn until(&mut self, word: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.starts_with("refused"), "{line}");
            if line.starts_with(word) {
                return line;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have ended by itself, with a failed assertion.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// After how many acknowledged writes a round ends: anything from 1 to 64, the same in every run. (Knuth's multiplier.)
fn writes_of(round: u32) -> u32 {
    (round.wrapping_mul(2_654_435_761) >> 26) + 1
}

#[test]
fn a_hundred_kills_lose_nothing_and_leave_nothing() {
    let began = Instant::now();
    let project = Project::empty("kill");
    let blobs = project.path(".windtunnel/objects");
    let mut up = project.up_without_airflow();
    let mut writer = Writer::start(&up);
    let mut last = String::new();
    for round in 0..ROUNDS {
        writer.order(&format!("write {} {round}", up.aws_endpoint()));
        for _ in 0..writes_of(round) {
            writer.until("ack");
        }
        up.kill_nine();
        writer.until("stopped");
        up = project.up_without_airflow();
        let verify = if round % 20 == 19 { "verify-all" } else { "verify" };
        writer.order(&format!("{verify} {} {}", up.aws_endpoint(), blobs.display()));
        last = writer.until("verified");
    }
    let seconds = began.elapsed().as_secs_f64();
    figure("kill -9 of S3", &format!("{ROUNDS} rounds in {seconds:.0} s; at the end {last}"));
}
