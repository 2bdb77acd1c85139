//! `windtunnel logs`: what components and tasks say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::{CANNOT_RUN, Failure, NO};
use super::{Place, terminal};
use crate::clock::{Clock, Timestamp};

/// Show what the components and the tasks of an environment say
///
/// On a terminal, lines to read; in a pipe, a JSON object per line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel logs -f                                 everything, as it happens\n  \
    windtunnel logs --source scheduler --since 10m\n  \
    windtunnel logs etl/extract                        the last lines of a task, of any run\n  \
    windtunnel logs 'etl/extract@manual__2026-01-02T03:04:05+00:00' -f\n  \
    windtunnel logs --grep 'ERROR|Traceback' | jq -r .message\n\n\
    Exits with 1 when no windtunnel runs for this project.")]
pub(super) struct Logs {
    /// A task's lines only: DAG, DAG/TASK or DAG/TASK@RUN
    #[arg(value_name = "DAG/TASK@RUN")]
    task: Option<String>,
    /// Only lines of these; can be given several times
    #[arg(long, short, value_enum, value_name = "SOURCE")]
    source: Vec<Source>,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Lines of the last 30s, 10m, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<Duration>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "PATTERN")]
    grep: Option<String>,
    /// How many of the newest lines to begin with; all of them with --since
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// Of several environments, this one
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// JSON lines also on a terminal
    #[arg(long)]
    json: bool,
}

/// Whose lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Source {
    Scheduler,
    Triggerer,
    DagProcessor,
    Webserver,
    Worker,
    Task,
}

const SOURCES: [Source; 6] = [
    Source::Scheduler,
    Source::Triggerer,
    Source::DagProcessor,
    Source::Webserver,
    Source::Worker,
    Source::Task,
];

/// Lines to begin with, where nothing else is asked for.
const LINES: usize = 100;

impl Source {
    /// The end of its log group's name.
    fn group(self) -> &'static str {
        match self {
            Source::Scheduler | Source::Triggerer => "Scheduler",
            Source::DagProcessor => "DAGProcessing",
            Source::Webserver => "WebServer",
            Source::Worker => "Worker",
            Source::Task => "Task",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Source::Scheduler => "scheduler",
            Source::Triggerer => "triggerer",
            Source::DagProcessor => "dag-processor",
            Source::Webserver => "webserver",
            Source::Worker => "worker",
            Source::Task => "task",
        }
    }

    /// Whose a line is. The triggerer writes into the scheduler's group.
    fn of(line: &Line) -> Option<Source> {
        let end = line.group.rsplit('-').next().unwrap_or_default();
        SOURCES.into_iter().rev().find(|source| {
            source.group() == end
                && (*source != Source::Triggerer || line.stream.starts_with("triggerer_"))
        })
    }
}

/// A line as the console tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Line {
    group: String,
    stream: String,
    at: i64,
    number: i64,
    message: String,
}

/// `30s`, `10m`, `2h`, `1d`.
fn duration(given: &str) -> Result<Duration, String> {
    let bad =
        || format!("`{given}` is not a time: give a number and one of s, m, h, d, such as 10m");
    let unit = given.chars().next_back().ok_or_else(bad)?;
    let number = &given[..given.len() - unit.len_utf8()];
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(bad()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

/// A task as it is given: a DAG, and perhaps a task and a run of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    dag: String,
    name: Option<String>,
    run: Option<String>,
}

impl Task {
    fn parse(given: &str) -> Task {
        let (place, run) = match given.split_once('@') {
            Some((place, run)) => (place, Some(run)),
            None => (given, None),
        };
        let (dag, task) = match place.split_once('/') {
            Some((dag, task)) => (dag, Some(task)),
            None => (place, None),
        };
        let owned = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Task { dag: dag.to_owned(), name: owned(task), run: owned(run) }
    }

    /// How the names of its streams begin.
    fn prefix(&self) -> String {
        format!("dag_id={}/", plain(&self.dag))
    }

    /// Whether a stream of task lines is one of its.
    fn has(&self, stream: &str) -> bool {
        let part = |name: &str, value: &Option<String>| {
            value.as_ref().is_none_or(|value| {
                stream
                    .split('/')
                    .any(|part| part.strip_prefix(name).is_some_and(|found| found == plain(value)))
            })
        };
        stream.starts_with(&self.prefix())
            && part("task_id=", &self.name)
            && part("run_id=", &self.run)
    }
}

/// Airflow writes `_` for a colon in the names of streams, which may have none.
fn plain(name: &str) -> String {
    name.replace(':', "_")
}

/// What is to be shown.
struct Wish {
    client: Client,
    environment: String,
    sources: BTreeSet<Source>,
    task: Option<Task>,
    grep: Option<String>,
}

pub(super) async fn run(place: &Place, asked: &Logs) -> Result<ExitCode, Failure> {
    let (client, status) = Client::needed(&place.state()?).await?;
    let task = asked.task.as_deref().map(Task::parse);
    let sources = match (&task, asked.source.as_slice()) {
        (Some(_), _) => BTreeSet::from([Source::Task]),
        (None, []) => SOURCES.into(),
        (None, some) => some.iter().copied().collect(),
    };
    let environment = environment(&status, asked.environment.as_deref())?;
    let wish = Wish { client, environment, sources, task, grep: asked.grep.clone() };
    let shown =
        if asked.json || !std::io::stdout().is_terminal() { Form::Json } else { Form::Colour };
    // Whatever arrives from here on is shown by following, and the rest by looking back.
    let now = wish.arrivals(None).await?.1;
    for line in wish.past(asked).await?.into_iter().filter(|line| line.number <= now) {
        terminal::result(&shown.line(&line));
    }
    let mut after = now;
    if !asked.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let (lines, last) = wish.arrivals(Some(after)).await?;
        for line in &lines {
            terminal::result(&shown.line(line));
        }
        after = last;
    }
}

fn environment(status: &Value, asked: Option<&str>) -> Result<String, Failure> {
    let all = status["environments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names = all.iter().filter_map(|environment| environment["name"].as_str());
    let found = match asked {
        Some(asked) => names.find(|name| *name == asked),
        None => names.next(),
    };
    found.map(str::to_owned).ok_or_else(|| {
        let which =
            asked.map_or("an environment".to_owned(), |name| format!("environment `{name}`"));
        Failure::new(format!("{which} is not there"))
            .next("`windtunnel status` lists them")
            .code(NO)
    })
}

impl Wish {
    fn groups(&self) -> BTreeSet<String> {
        let group = |source: &Source| format!("airflow-{}-{}", self.environment, source.group());
        self.sources.iter().map(group).collect()
    }

    /// Lines that are there already, the oldest first.
    async fn past(&self, asked: &Logs) -> Result<Vec<Line>, Failure> {
        let since = asked.since.map(|since| {
            let back = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            Clock::system().now().plus_millis(-back).as_millis()
        });
        let most = asked.lines.unwrap_or(if since.is_some() { usize::MAX } else { LINES });
        let mut lines = Vec::new();
        for group in self.groups() {
            lines.extend(self.past_of(&group, since, most).await?);
        }
        lines.sort_by_key(|line| (line.at, line.number));
        Ok(lines.split_off(lines.len().saturating_sub(most)))
    }

    /// The newest lines of a group, `most` of them at most.
    async fn past_of(
        &self,
        group: &str,
        since: Option<i64>,
        most: usize,
    ) -> Result<Vec<Line>, Failure> {
        let mut query = format!("group={}&order=newest", encoded(group));
        if let Some(since) = since {
            write!(query, "&since={}", since.max(0)).expect("a text takes text");
        }
        if let Some(grep) = &self.grep {
            write!(query, "&grep={}", encoded(grep)).expect("a text takes text");
        }
        if let Some(task) = &self.task {
            write!(query, "&prefix={}", encoded(&task.prefix())).expect("a text takes text");
        }
        let mut lines: Vec<Line> = Vec::new();
        let mut from = String::new();
        while lines.len() < most {
            let path = format!("/console/v1/logs/events?{query}{from}");
            // A group that is not there: its module is off.
            let Some(told) = self.client.find(&path).await? else { break };
            lines.extend(lines_of(&told)?.into_iter().filter(|line| self.shows(line)));
            match told["next"].as_str() {
                Some(next) => from = format!("&from={}", encoded(next)),
                None => break,
            }
        }
        lines.truncate(most);
        Ok(lines)
    }

    /// Lines that came after that one, and where to go on. Waits until there are any, or for some seconds.
    async fn arrivals(&self, after: Option<i64>) -> Result<(Vec<Line>, i64), Failure> {
        let groups: Vec<String> =
            self.groups().iter().map(|group| format!("group={}", encoded(group))).collect();
        let mut path = format!("/console/v1/logs/arrivals?wait=true&{}", groups.join("&"));
        if let Some(after) = after {
            write!(path, "&after={after}").expect("a text takes text");
        }
        let told = self.client.get(&path).await?;
        let mut lines = lines_of(&told)?;
        lines.retain(|line| self.shows(line));
        if let Some(grep) = &self.grep {
            let regex = regex::Regex::new(grep).map_err(|error| {
                Failure::cannot("search for the pattern", &error, "quote it for the shell")
                    .code(CANNOT_RUN)
            })?;
            lines.retain(|line| regex.is_match(&line.message));
        }
        Ok((lines, told["last"].as_i64().unwrap_or_default()))
    }

    fn shows(&self, line: &Line) -> bool {
        Source::of(line).is_some_and(|source| self.sources.contains(&source))
            && self.task.as_ref().is_none_or(|task| task.has(&line.stream))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn lines_of(told: &Value) -> Result<Vec<Line>, Failure> {
    serde_json::from_value(told["events"].clone())
        .map_err(|error| Failure::cannot("read the answer", &error, "run `windtunnel restart`"))
}

/// How a line is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Colour,
    Json,
}

impl Form {
    fn line(self, line: &Line) -> String {
        let source = Source::of(line);
        match self {
            Form::Json => {
                let format = time::macros::format_description!(
                    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
                );
                let at = Timestamp::from_millis(line.at).to_utc();
                json!({
                    "time": at.format(&format).expect("a moment has all of these"),
                    "source": source.map(Source::name),
                    "group": line.group,
                    "stream": line.stream,
                    "message": line.message,
                })
                .to_string()
            }
            Form::Colour => coloured(line, source),
        }
    }
}

/// `12:34:56.789 scheduler      message`.
fn coloured(line: &Line, source: Option<Source>) -> String {
    let format = time::macros::format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let at = Timestamp::from_millis(line.at).to_utc();
    let at = at.format(&format).expect("a moment has all of these");
    let (colour, name) = match source {
        Some(Source::Scheduler) => (36, "scheduler".to_owned()),
        Some(Source::Triggerer) => (35, "triggerer".to_owned()),
        Some(Source::DagProcessor) => (34, "dag-processor".to_owned()),
        Some(Source::Webserver) => (33, "webserver".to_owned()),
        Some(Source::Worker) => (32, "worker".to_owned()),
        Some(Source::Task) => (96, task_of(&line.stream)),
        None => (0, line.group.clone()),
    };
    let message = readable(&line.message);
    let bad = ["ERROR", "CRITICAL", "[error]", "Traceback (most recent call last)"];
    let message = if bad.iter().any(|mark| message.contains(mark)) {
        format!("\x1b[31m{message}\x1b[0m")
    } else {
        message
    };
    format!("\x1b[2m{at}\x1b[0m \x1b[{colour}m{name:<14}\x1b[0m {message}")
}

/// `etl/extract` for `dag_id=etl/run_id=…/task_id=extract/attempt=1.log`.
fn task_of(stream: &str) -> String {
    let part = |name: &str| stream.split('/').find_map(|part| part.strip_prefix(name));
    match (part("dag_id="), part("task_id=")) {
        (Some(dag), Some(task)) => format!("{dag}/{task}"),
        _ => stream.to_owned(),
    }
}

/// Airflow 3 writes task lines as JSON objects; a person reads their level and their words.
fn readable(message: &str) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str(message) else { return message.to_owned() };
    let (level, words) = (event.get("level"), event.get("event"));
    match (level.and_then(Value::as_str), words.and_then(Value::as_str)) {
        (Some(level), Some(words)) => format!("[{level}] {words}"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(end: &str, stream: &str, message: &str) -> Line {
        Line {
            group: format!("airflow-my-dev-{end}"),
            stream: stream.to_owned(),
            at: 1_767_323_045_678,
            number: 1,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_task_is_named_by_dag_task_and_run() {
        let stream =
            "dag_id=etl/run_id=manual__2026-01-02T03_04_05+00_00/task_id=load/attempt=1.log";
        for given in ["etl", "etl/load", "etl/load@manual__2026-01-02T03:04:05+00:00", "etl/"] {
            assert!(Task::parse(given).has(stream), "{given}");
        }
        for given in ["et", "etl/loa", "etl/load@other", "load"] {
            assert!(!Task::parse(given).has(stream), "{given}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for bad in ["", "m", "10", "10w", "-1s", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_is_read_on_a_terminal_and_parsed_in_a_pipe() {
        let stream = "dag_id=etl/run_id=r/task_id=load/attempt=1.log";
        let lines = [
            line("Scheduler", "scheduler_h_1.0.log", "[2026-01-02] {a.py:1} INFO - up"),
            line("Scheduler", "triggerer_h_1.0.log", "waiting"),
            line("Task", stream, r#"{"event":"no such table","level":"error"}"#),
        ];
        let shown: Vec<String> =
            lines.iter().map(|line| Form::Colour.line(line).replace('\x1b', "^")).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        ^[2m03:04:05.678^[0m ^[36mscheduler     ^[0m [2026-01-02] {a.py:1} INFO - up
        ^[2m03:04:05.678^[0m ^[35mtriggerer     ^[0m waiting
        ^[2m03:04:05.678^[0m ^[96metl/load      ^[0m ^[31m[error] no such table^[0m
        ");
        insta::assert_snapshot!(
            Form::Json.line(&lines[2]),
            @r#"{"group":"airflow-my-dev-Task","message":"{\"event\":\"no such table\",\"level\":\"error\"}","source":"task","stream":"dag_id=etl/run_id=r/task_id=load/attempt=1.log","time":"2026-01-02T03:04:05.678Z"}"#
        );
    }
}
