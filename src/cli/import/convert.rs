//! The answer of `GetEnvironment` to the text of a `windtunnel.toml`, and what is to be said about it.
//!
//! Members keep their names and values. What one machine has no use for stays in the file as a comment, so that nothing
//! is lost on the way.

use serde_json::{Map, Value};

use crate::airflow::RECIPES;

/// What an environment has become.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) toml: String,
    /// One sentence each, for the one who imports.
    pub(super) notes: Vec<String>,
}

/// Members that are written as they are, in this order.
const KEPT: [&str; 11] = [
    "EnvironmentClass",
    "MinWorkers",
    "MaxWorkers",
    "Schedulers",
    "MinWebservers",
    "MaxWebservers",
    "SourceBucketArn",
    "DagS3Path",
    "ExecutionRoleArn",
    "WebserverAccessMode",
    "WeeklyMaintenanceWindowStart",
];

/// Members that ask for something of AWS's that is not here, and why not.
const NOT_HERE: [(&str, &str); 4] = [
    ("NetworkConfiguration", "everything runs on loopback"),
    ("KmsKey", "nothing is encrypted at rest here"),
    ("EndpointManagement", "there are no VPC endpoints here"),
    ("LoggingConfiguration", "every component's log is kept here"),
];

/// Files in the bucket: the member of their key, the member of their version, and where the project has them.
const FILES: [(&str, &str, &str); 3] = [
    ("RequirementsS3Path", "RequirementsS3ObjectVersion", "requirements/requirements.txt"),
    ("PluginsS3Path", "PluginsS3ObjectVersion", "plugins.zip"),
    ("StartupScriptS3Path", "StartupScriptS3ObjectVersion", "startup_script/startup.sh"),
];

/// Converts what the AWS CLI prints, with or without the `Environment` around it. Says why where it cannot be.
pub(super) fn convert(text: &str) -> Result<Imported, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let members = match value.get("Environment").unwrap_or(&value) {
        Value::Object(members) if members.contains_key("AirflowVersion") => members,
        Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => {
            return Err("it is JSON, but does not describe an environment".to_owned());
        }
    };
    let mut notes = Vec::new();
    let mut toml = head(members);
    environment(members, &mut toml, &mut notes);
    files(members, &mut toml, &mut notes);
    not_here(members, &mut toml);
    table(members, "AirflowConfigurationOptions", &mut toml);
    table(members, "Tags", &mut toml);
    place(members, &mut toml);
    if members.get("AirflowConfigurationOptions").is_some_and(|options| !is_empty(options)) {
        notes.push(
            "AirflowConfigurationOptions may hold secrets of AWS's; look before you commit the file"
                .to_owned(),
        );
    }
    Ok(Imported { toml, notes })
}

fn text_of<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A TOML string. JSON's escapes are TOML's too, but for DEL, which TOML wants escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn head(members: &Map<String, Value>) -> String {
    let from = text_of(members, "Arn").map_or_else(String::new, |arn| format!(" {arn}"));
    // An ARN has no line ends, but this text comes from outside.
    let from = from.replace(char::is_control, " ");
    format!("# Written by `windtunnel import` from{from}.\n\n[environment]\n")
        .replace("from.\n", "an answer of get-environment.\n")
}

fn environment(members: &Map<String, Value>, toml: &mut String, notes: &mut Vec<String>) {
    if let Some(name) = text_of(members, "Name") {
        line(toml, "Name", &Value::from(name));
    }
    let there = text_of(members, "AirflowVersion").unwrap_or_default();
    let here = version(there);
    if here != there {
        let recipe = crate::airflow::recipe(here).expect("it is one of ours");
        let python = recipe.python;
        add(toml, &format!("# {} on AWS; windtunnel does not run that version.\n", quoted(there)));
        notes.push(format!(
            "AirflowVersion is {here} here, for windtunnel does not run {there}{}; to see your code \
             on it, set the constraint in requirements.txt to {} and code to Python {python}",
            if is_over(there) { ", which Amazon MWAA has ended the support of" } else { "" },
            recipe.constraints_url(python),
        ));
    }
    line(toml, "AirflowVersion", &Value::from(here));
    for name in KEPT {
        if let Some(value) = members.get(name).filter(|value| !is_empty(value)) {
            line(toml, name, value);
        }
    }
}

fn add(toml: &mut String, text: &str) {
    toml.push_str(text);
}

fn line(toml: &mut String, name: &str, value: &Value) {
    match value {
        Value::String(text) => add(toml, &format!("{name} = {}\n", quoted(text))),
        Value::Number(number) => add(toml, &format!("{name} = {number}\n")),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            comment(toml, name, value);
        }
    }
}

fn comment(toml: &mut String, name: &str, value: &Value) {
    add(toml, &format!("# {name} = {value}\n"));
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The versions whose support by Amazon MWAA has ended (MWAA user guide, "Apache Airflow versions").
fn is_over(version: &str) -> bool {
    ["1.10.12", "2.0.2", "2.2.2", "2.4.3", "2.5.1", "2.6.3"].contains(&version)
}

/// The version to run for `wanted`: itself, or the next later one of its major, or the last of them.
fn version(wanted: &str) -> &'static str {
    let wanted = numbers(wanted);
    let mut ours: Vec<(Vec<u32>, &'static str)> =
        RECIPES.iter().map(|recipe| (numbers(recipe.version), recipe.version)).collect();
    ours.sort();
    // From Airflow 1 the way leads to 2.
    let major = wanted.first().copied().unwrap_or(0).max(2);
    let same = |one: &&(Vec<u32>, &str)| one.0.first() == Some(&major);
    let later = ours.iter().filter(same).find(|one| one.0 >= wanted);
    let chosen = later.or_else(|| ours.iter().rfind(same)).or(ours.last());
    chosen.map(|one| one.1).expect("there is a version")
}

fn files(members: &Map<String, Value>, toml: &mut String, notes: &mut Vec<String>) {
    let bucket = text_of(members, "SourceBucketArn").and_then(|arn| arn.rsplit(":::").next());
    let bucket = bucket.unwrap_or("BUCKET");
    let mut copies = Vec::new();
    if let Some(folder) = text_of(members, "DagS3Path") {
        copies.push(format!(
            "aws s3 sync {} dags",
            word(&format!("s3://{bucket}/{}", folder.trim_matches('/')))
        ));
    }
    for (path, version, place) in FILES {
        let Some(key) = text_of(members, path).filter(|key| !key.is_empty()) else { continue };
        let pinned = text_of(members, version);
        add(toml, &format!("# {path} is {place} here; on AWS {}", quoted(key)));
        add(toml, &pinned.map_or_else(String::new, |id| format!(", version {}", quoted(id))));
        toml.push('\n');
        copies.push(match pinned.filter(|id| *id != "null") {
            Some(id) => {
                let folder = place.split_once('/').map(|(folder, _)| folder);
                let make =
                    folder.map_or_else(String::new, |folder| format!("mkdir -p {folder} && "));
                format!(
                    "{make}aws s3api get-object --bucket {bucket} --key {} --version-id {} {place}",
                    word(key),
                    word(id)
                )
            }
            None => format!("aws s3 cp {} {place}", word(&format!("s3://{bucket}/{key}"))),
        });
    }
    if !copies.is_empty() {
        notes.push(format!(
            "with AWS's own keys (not windtunnel's), these bring its files:\n  {}",
            copies.join("\n  ")
        ));
    }
}

/// A word of a shell, quoted where it has to be.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn not_here(members: &Map<String, Value>, toml: &mut String) {
    for (name, why) in NOT_HERE {
        if let Some(value) = members.get(name).filter(|value| !is_empty(value)) {
            add(toml, &format!("# Not taken over, since {why}:\n"));
            comment(toml, name, value);
        }
    }
}

fn table(members: &Map<String, Value>, name: &str, toml: &mut String) {
    let Some(Value::Object(pairs)) = members.get(name) else { return };
    if pairs.is_empty() {
        return;
    }
    add(toml, &format!("\n[environment.{name}]\n"));
    for (key, value) in pairs {
        // AWS: keys that begin so are its own, and refused when somebody else sets them.
        if name == "Tags" && key.starts_with("aws:") {
            comment(toml, &quoted(key), value);
        } else {
            line(toml, &quoted(key), value);
        }
    }
}

/// Region and account, which stand in the ARN.
fn place(members: &Map<String, Value>, toml: &mut String) {
    let Some(arn) = text_of(members, "Arn") else { return };
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "airflow", region, account, ..] = parts[..] else { return };
    add(toml, "\n[aws]\n");
    line(toml, "region", &Value::from(region));
    line(toml, "account_id", &Value::from(account));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the AWS CLI prints of an environment that has everything.
    pub(crate) const PROD: &str = r#"{
    "Environment": {
        "Name": "prod-etl",
        "Status": "AVAILABLE",
        "Arn": "arn:aws:airflow:eu-west-1:111122223333:environment/prod-etl",
        "CreatedAt": "2024-11-02T10:11:12+01:00",
        "WebserverUrl": "a1b2.c3.eu-west-1.airflow.amazonaws.com",
        "ExecutionRoleArn": "arn:aws:iam::111122223333:role/service-role/prod-etl",
        "ServiceRoleArn": "arn:aws:iam::111122223333:role/aws-service-role/airflow.amazonaws.com/AWSServiceRoleForAmazonMWAA",
        "KmsKey": "arn:aws:kms:eu-west-1:111122223333:key/0a",
        "AirflowVersion": "2.10.3",
        "SourceBucketArn": "arn:aws:s3:::prod-etl-dags",
        "DagS3Path": "etl/dags/",
        "PluginsS3Path": "etl/plugins.zip",
        "PluginsS3ObjectVersion": "aBcD.1234",
        "RequirementsS3Path": "etl/requirements.txt",
        "RequirementsS3ObjectVersion": "null",
        "AirflowConfigurationOptions": {
            "core.default_task_retries": "3",
            "smtp.smtp_password": "say \"friend\" \\ and enter"
        },
        "EnvironmentClass": "mw1.medium",
        "MaxWorkers": 12,
        "MinWorkers": 2,
        "Schedulers": 2,
        "MinWebservers": 2,
        "MaxWebservers": 3,
        "NetworkConfiguration": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
        "LoggingConfiguration": {"TaskLogs": {"Enabled": true, "LogLevel": "INFO"}},
        "LastUpdate": {"Status": "SUCCESS", "CreatedAt": "2025-01-01T00:00:00+01:00"},
        "WeeklyMaintenanceWindowStart": "SUN:03:30",
        "Tags": {"team": "data", "aws:cloudformation:stack-name": "prod"},
        "WebserverAccessMode": "PUBLIC_ONLY",
        "CeleryExecutorQueue": "arn:aws:sqs:eu-west-1:444455556666:airflow-celery-0"
    }
}"#;

    fn shown(imported: &Imported) -> String {
        format!("{}--- notes\n{}", imported.toml, imported.notes.join("\n"))
    }

    #[test]
    fn an_environment_keeps_its_members_and_what_has_no_use_is_a_comment() {
        insta::assert_snapshot!(shown(&convert(PROD).unwrap()));
    }

    #[test]
    fn a_version_that_nobody_runs_any_more_becomes_the_next_one_and_is_told() {
        let old = r#"{"Name": "old", "AirflowVersion": "2.5.1", "DagS3Path": "dags"}"#;
        let imported = convert(old).unwrap();
        let version = version("2.5.1");
        assert!(imported.toml.contains(&format!("AirflowVersion = \"{version}\"")));
        assert!(imported.toml.contains("# \"2.5.1\" on AWS"));
        let note = &imported.notes[0];
        assert!(note.contains("ended the support of") && note.contains(version), "{note}");
    }

    #[test]
    fn a_version_is_itself_or_the_next_of_its_major() {
        for recipe in RECIPES {
            assert_eq!(version(recipe.version), recipe.version);
        }
        assert!(version("1.10.12").starts_with("2."));
        assert!(version("2.6.3").starts_with("2."));
        assert!(version("2.99.0").starts_with("2."), "not a leap over a major");
        assert!(version("nonsense").starts_with("2."));
    }

    #[test]
    fn what_is_no_environment_says_so() {
        for (text, why) in [
            ("", "empty"),
            ("Name: dev\n", "not JSON"),
            ("[1]", "does not describe"),
            (r#"{"Environments": ["dev"]}"#, "does not describe"),
        ] {
            let said = convert(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
