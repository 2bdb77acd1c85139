//! Findings as text for people, JSON, SARIF and GitHub's annotations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Report;
use super::finding::{Finding, Severity};

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people, with the line in question
    #[default]
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// GitHub Actions' annotations
    Github,
}

/// The report in that format. `folder`: what the files' names are relative to.
pub(super) fn write(report: &Report, format: Format, folder: &Path) -> String {
    match format {
        Format::Text => text(report, folder),
        Format::Json => format!("{}\n", json(report)),
        Format::Sarif => format!("{:#}\n", sarif(report)),
        Format::Github => github(report),
    }
}

/// As compilers put it: what, where, the line itself, what to do.
fn text(report: &Report, folder: &Path) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        one(&mut out, finding, folder);
    }
    out.push_str(&summary(report));
    out
}

fn one(out: &mut String, finding: &Finding, folder: &Path) {
    let Finding { code, severity, file, line, message, help, .. } = finding;
    let at = line.map_or(String::new(), |line| format!(":{line}"));
    let mut say = |line: String| {
        out.push_str(line.trim_end());
        out.push('\n');
    };
    say(format!("{severity}[{code}]: {message}"));
    let source = line.and_then(|line| source_line(&folder.join(file), line).map(|t| (line, t)));
    let margin = source.as_ref().map_or(1, |(number, _)| number.to_string().len());
    say(format!("{:margin$}--> {}{at}", "", file.display()));
    if let Some((number, text)) = source {
        say(format!("{:margin$} |", ""));
        say(format!("{number} | {text}"));
        say(format!("{:margin$} |", ""));
    }
    if let Some(help) = help {
        say(format!("{:margin$} = help: {help}", ""));
    }
    say(String::new());
}

/// Lines that are longer than this are cut where they are quoted.
const QUOTE_MAX_CHARS: usize = 160;

fn source_line(file: &Path, number: u32) -> Option<String> {
    let text = std::fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
    let printable = line.trim_end().chars().filter(|c| !c.is_control() || *c == '\t');
    Some(printable.take(QUOTE_MAX_CHARS).collect())
}

fn summary(report: &Report) -> String {
    let files = report.files.len();
    let dags: usize = report.files.iter().map(|file| file.dags.len()).sum();
    let cached = report.files.iter().filter(|file| file.cached).count();
    let mut out = format!(
        "checked {} with {} in {:.2} s: {}, {}",
        count(files, "file"),
        count(dags, "DAG"),
        report.seconds,
        count(report.count(Severity::Error), "error"),
        count(report.count(Severity::Warning), "warning"),
    );
    if cached > 0 {
        write!(out, " ({cached} unchanged since the last check)")
            .expect("a String takes everything");
    }
    out.push('\n');
    let mut slowest: Vec<_> = report.files.iter().filter(|file| file.seconds >= 1.0).collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    if !slowest.is_empty() {
        let named = slowest.iter().take(3);
        let named = named.map(|one| format!("{} {:.1} s", one.file.display(), one.seconds));
        let named: Vec<_> = named.collect();
        writeln!(out, "slowest imports: {}", named.join(", ")).expect("a String takes everything");
    }
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn json(report: &Report) -> Value {
    json!({
        "findings": report.findings,
        "files": report.files,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "startup_script_seconds": report.startup_seconds,
        "seconds": report.seconds,
    })
}

/// Static Analysis Results Interchange Format (OASIS, 2.1.0), as GitHub's code scanning reads it.
fn sarif(report: &Report) -> Value {
    let codes: BTreeSet<&str> = report.findings.iter().map(|one| one.code.as_str()).collect();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code })).collect();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|one| {
            let help = one.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            json!({
                "ruleId": one.code,
                "level": one.severity,
                "message": { "text": format!("{}{help}", one.message) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": one.file, "uriBaseId": "%SRCROOT%" },
                    "region": { "startLine": one.line.unwrap_or(1) },
                } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "windtunnel check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

/// GitHub's workflow commands: `::error file=…,line=…,title=…::message`.
fn github(report: &Report) -> String {
    let mut out = String::new();
    for Finding { code, severity, file, line, message, help, .. } in &report.findings {
        let mut properties = BTreeMap::from([("file", file.display().to_string())]);
        properties.insert("line", line.unwrap_or(1).to_string());
        properties.insert("title", code.clone());
        let properties: Vec<String> = properties
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value, true)))
            .collect();
        let help = help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
        let message = escaped(&format!("{message}{help}"), false);
        writeln!(out, "::{severity} {}::{message}", properties.join(","))
            .expect("a String takes everything");
    }
    out.push_str(&summary(report));
    out
}

fn escaped(text: &str, is_property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if is_property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Checked, Dag};
    use super::*;

    fn report() -> Report {
        let finding = Finding {
            code: "import-error".to_owned(),
            severity: Severity::Error,
            file: "dags/broken.py".into(),
            line: Some(2),
            message: "ModuleNotFoundError: No module named 'nope'".to_owned(),
            help: Some("add the package of `nope`, or the module".to_owned()),
            traceback: Some("Traceback …".to_owned()),
            wants: None,
        };
        let dag = Dag { id: "a".to_owned(), file: "dags/a.py".into(), line: Some(3), tasks: 2 };
        let file = |name: &str, seconds, dags| Checked {
            file: name.into(),
            seconds,
            cached: false,
            dags,
            findings: Vec::new(),
        };
        Report {
            files: vec![file("dags/a.py", 1.25, vec![dag]), file("dags/broken.py", 0.1, vec![])],
            findings: vec![finding],
            startup_seconds: None,
            seconds: 1.5,
        }
    }

    #[test]
    fn people_see_the_line_in_question() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        std::fs::write(folder.path().join("dags/broken.py"), "import os\nimport nope\n").unwrap();
        insta::assert_snapshot!(write(&report(), Format::Text, folder.path()), @r"
        error[import-error]: ModuleNotFoundError: No module named 'nope'
         --> dags/broken.py:2
          |
        2 | import nope
          |
          = help: add the package of `nope`, or the module

        checked 2 files with 1 DAG in 1.50 s: 1 error, 0 warnings
        slowest imports: dags/a.py 1.2 s
        ");
    }

    #[test]
    fn github_gets_annotations() {
        insta::assert_snapshot!(write(&report(), Format::Github, Path::new("/")), @r"
        ::error file=dags/broken.py,line=2,title=import-error::ModuleNotFoundError: No module named 'nope'%0Aadd the package of `nope`, or the module
        checked 2 files with 1 DAG in 1.50 s: 1 error, 0 warnings
        slowest imports: dags/a.py 1.2 s
        ");
    }

    #[test]
    fn sarif_has_a_rule_and_a_place_for_each_finding() {
        let sarif: Value =
            serde_json::from_str(&write(&report(), Format::Sarif, Path::new("/"))).unwrap();
        let run = &sarif["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "import-error");
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "dags/broken.py");
        assert_eq!(place["region"]["startLine"], 2);
    }
}
