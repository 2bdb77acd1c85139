//! A project's requirements file, read the way MWAA reads it.
//!
//! Rules (facts: requirements on MWAA): a file without constraints gets the Airflow project's for its version; the
//! essential pins always apply. Paths below `/usr/local/airflow` mean the environment's own folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::install::Wish;
use crate::airflow::Recipe;
use crate::airflow::settings::Variables;

/// Where MWAA keeps a project's files; requirements name wheels by this path.
const MWAA_HOME: &str = "/usr/local/airflow";

/// A requirements file, with MWAA's paths made ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) requirements: String,
    /// Whether it brings constraints other than Airflow's published ones.
    pub(super) own_constraints: bool,
    /// The lines with index and link options, for the installation after the resolution. They stay in a file: there
    /// the installer fills in `${NAME}`, and nobody else on the machine sees what stands for it.
    pub(super) options: Vec<String>,
    /// The first line that names another list by a relative path: its number from 1, and the path.
    pub(super) relative: Option<(usize, String)>,
}

impl Text {
    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.requirements
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .all(|line| line.is_empty() || line.starts_with("--"))
    }
}

impl Text {
    /// What the installation depends on beside the text: the files that it names, and what stands for `${NAME}`.
    pub(super) fn depends_on(&self, variables: &Variables) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for name in self.requirements.split("${").skip(1).filter_map(|rest| rest.split_once('}')) {
            let value = variables.get(name.0).map(String::as_str).unwrap_or_default();
            found.push(format!("{}={value}", name.0).into_bytes());
        }
        read_named(&self.requirements, Path::new("/"), &mut BTreeSet::new(), &mut found);
        found
    }

    /// The file for the installation of `packages` from where the project's file says.
    pub(super) fn installation(&self, packages: &Pins) -> String {
        format!("{}\n{packages}", self.options.join("\n"))
    }
}

/// Reads a requirements file for an environment whose folders are elsewhere than MWAA's.
pub(super) fn localise(text: &str, wish: &Wish<'_>, recipe: &Recipe) -> Text {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let text = text
        .replace(&format!("{MWAA_HOME}/plugins"), &wish.plugins.display().to_string())
        .replace(&format!("{MWAA_HOME}/dags"), &wish.dags.display().to_string());
    let published = format!("constraints-{}/constraints-", recipe.version);
    let mut read = Text::default();
    for (index, line) in text.lines().enumerate() {
        let word = line.trim_start();
        if let Some(path) = other_list(word).filter(|path| is_relative(path)) {
            read.relative.get_or_insert((index + 1, path.to_owned()));
        }
        let constraint = word.starts_with("-c ")
            || word.starts_with("--constraint ")
            || word.starts_with("--constraint=");
        if constraint && word.contains(&published) {
            // Airflow's own list: we have it, or a stand-in, also without a network. The line stays, empty, so that
            // those after it keep their numbers.
            read.requirements.push('\n');
            continue;
        }
        read.own_constraints |= constraint;
        if installer_option(word) {
            read.options.push(word.to_owned());
        }
        read.requirements.push_str(line);
        read.requirements.push('\n');
    }
    read
}

/// The path or URL of a list that a line has read too.
fn other_list(line: &str) -> Option<&str> {
    const OPTIONS: [&str; 4] = ["-c", "--constraint", "-r", "--requirement"];
    let rest = OPTIONS.iter().find_map(|option| line.strip_prefix(option))?;
    let rest = rest.strip_prefix('=').or_else(|| rest.strip_prefix(char::is_whitespace))?;
    let path = rest.split(" #").next().unwrap_or_default().trim();
    Some(path.trim_matches(['"', '\''])).filter(|path| !path.is_empty())
}

fn is_relative(path: &str) -> bool {
    !path.starts_with('/')
        && !path.contains("://")
        && !path.starts_with("file:")
        && !path.contains("${")
}

/// The files that a list names, and what those name; `folder` is where the list is.
fn read_named(text: &str, folder: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<Vec<u8>>) {
    for line in text.lines().map(str::trim) {
        let list = other_list(line).map(|path| folder.join(path));
        let words = line.split_whitespace().map(|word| word.trim_start_matches("file://"));
        let files = words.filter(|word| word.starts_with('/')).map(PathBuf::from);
        for file in list.clone().into_iter().chain(files) {
            // What cannot be read the installer complains of, in its own words.
            let Some(bytes) = std::fs::read(&file).ok().filter(|_| seen.insert(file.clone()))
            else {
                continue;
            };
            if list.as_ref() == Some(&file) {
                let beside = file.parent().unwrap_or(folder);
                read_named(&String::from_utf8_lossy(&bytes), beside, seen, found);
            }
            found.push(bytes);
        }
    }
}

fn installer_option(line: &str) -> bool {
    const OPTIONS: [&str; 6] =
        ["--index-url", "-i ", "--extra-index-url", "--find-links", "-f ", "--no-index"];
    OPTIONS.iter().any(|option| line.starts_with(option))
}

/// The sets of constraints to try, best first.
///
/// The best is our lock for what the base environment has (so that it is used as it is) with Airflow's published
/// pins for everything else. Where these two do not agree, the published pins alone, as on MWAA.
pub(super) fn constraints(recipe: &Recipe, published: Option<&str>, text: &Text) -> Vec<String> {
    if text.own_constraints {
        // Theirs are in the file itself.
        return vec![String::new()];
    }
    match published {
        None => vec![recipe.lock.to_owned()],
        Some(published) => {
            let lock = Pins::parse(recipe.lock);
            let rest = Pins::parse(published).without_names(&lock);
            vec![format!("{}\n{rest}", recipe.lock), published.to_owned()]
        }
    }
}

/// The base environment's list for the resolution of a project's. Who brings constraints of their own may change every
/// package that is not essential, as pip lets them on MWAA; what they leave alone stays as our lock has it.
pub(super) fn base(recipe: &Recipe, text: &Text) -> String {
    if !text.own_constraints {
        return recipe.packages.to_owned();
    }
    let essential = Pins::parse(recipe.essential);
    let lines = recipe.packages.lines().map(|line| match line.split_once("==") {
        Some((name, _)) if !essential.0.contains_key(&package(line)) => name,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Requirement lines by package name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins(BTreeMap<String, String>);

impl Pins {
    pub(super) fn parse(text: &str) -> Pins {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
        Pins(lines.map(|line| (package(line), line.to_owned())).collect())
    }

    /// What is not in `other` word for word.
    pub(super) fn without(mut self, other: &Pins) -> Pins {
        self.0.retain(|name, line| other.0.get(name).is_none_or(|have| have != line));
        self
    }

    fn without_names(mut self, other: &Pins) -> Pins {
        self.0.retain(|name, _| !other.0.contains_key(name));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether one of Airflow's providers is to be another version than it is.
pub(super) fn replaces_provider(missing: &Pins, have: &Pins) -> bool {
    let provider = |name: &&String| name.starts_with("apache-airflow-providers-");
    missing.0.keys().filter(provider).any(|name| have.0.contains_key(name))
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.values().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A package's name as the index compares names.
fn package(line: &str) -> String {
    let name = line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next();
    name.unwrap_or_default().to_lowercase().replace(['_', '.'], "-")
}

/// The one line of an installer's words that says why.
pub(super) fn reason(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // uv: "No solution found", then why, over several lines, marked in one way or another by version.
    let words = |line: &'_ str| -> String {
        line.trim_start_matches("╰─▶").trim_start().trim_start_matches("cause:").trim().to_owned()
    };
    let because = lines.iter().position(|line| words(line).starts_with("Because"));
    if let Some(first) = because {
        let tree = lines[first..].iter().take_while(|line| !line.starts_with("hint:"));
        return tree.map(|line| words(line)).collect::<Vec<_>>().join(" ");
    }
    let fault = lines.iter().find(|line| line.to_lowercase().starts_with("error"));
    let line = fault.or(lines.last()).copied().unwrap_or("it gave no reason");
    let line = line.trim_start_matches("error: ").trim_start_matches("ERROR: ");
    // The last cause is the nearest to the fault: no space, connection refused.
    let marks = ["cause:", "Caused by:"];
    let mut causes =
        lines.iter().filter_map(|line| marks.iter().find_map(|mark| line.strip_prefix(mark)));
    match causes.next_back() {
        Some(cause) => format!("{line}: {}", cause.trim()),
        None => line.to_owned(),
    }
}

/// Says a fault in the project's file by the name and line that a person knows: uv counts characters.
pub(super) fn place(why: &str, text: &Text, label: &str) -> String {
    let Some((before, rest)) = why.split_once("`project.in` at position ") else {
        return why.replace("project.in", label);
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let position: usize = rest[..digits].parse().unwrap_or_default();
    let line = 1 + text.requirements.bytes().take(position).filter(|byte| *byte == b'\n').count();
    format!("{label}:{line}: {before}it{}", &rest[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Text {
        let variables = Variables::new();
        let wish = Wish {
            requirements: None,
            plugins: Path::new("/e/plugins"),
            dags: Path::new("/e/dags"),
            variables: &variables,
        };
        localise(text, &wish, crate::airflow::recipe("2.10.3").expect("the recipe is there"))
    }

    #[test]
    fn airflows_own_constraints_are_left_to_us_and_others_are_kept() {
        let url = "https://raw.githubusercontent.com/apache/airflow/constraints-2.10.3/constraints-3.11.txt";
        let text = read(&format!("--constraint \"{url}\"\ncowsay==6.1\n"));
        assert!(!text.own_constraints);
        assert_eq!(text.requirements, "\ncowsay==6.1\n");
        assert!(read("-c /usr/local/airflow/dags/constraints.txt\n").own_constraints);
    }

    #[test]
    fn a_list_beside_the_file_is_pointed_out_because_mwaa_has_none_there() {
        let text = read("cowsay==6.1\n-c constraints.txt\n");
        assert_eq!(text.relative, Some((2, "constraints.txt".to_owned())));
        for good in
            ["-c /usr/local/airflow/dags/c.txt", "-r https://host/r.txt", "-cowsay", "-c ${A}"]
        {
            assert_eq!(read(good).relative, None, "{good}");
        }
    }

    #[test]
    fn what_the_file_names_counts_as_much_as_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let (list, more) = (folder.path().join("c.txt"), folder.path().join("more.txt"));
        std::fs::write(&list, "-r more.txt\n").unwrap();
        std::fs::write(&more, "a==1\n").unwrap();
        let text =
            read(&format!("--constraint={}\nb @ https://${{TOKEN}}@host/b\n", list.display()));
        let with = |token: &str| {
            text.depends_on(&Variables::from([("TOKEN".to_owned(), token.to_owned())]))
        };
        let before = with("one");
        assert_eq!(before, with("one"));
        assert_ne!(before, with("two"), "what stands for a name");
        std::fs::write(&more, "a==2\n").unwrap();
        assert_ne!(before, with("one"), "a file that a named file names");
    }

    #[test]
    fn mwaas_paths_become_the_environments() {
        let text = read("--find-links /usr/local/airflow/plugins\n--no-index\nmine\n");
        assert_eq!(text.options, ["--find-links /e/plugins", "--no-index"]);
    }

    #[test]
    fn options_reach_the_installer_in_a_file_as_they_were_written() {
        let index = "--extra-index-url https://${AIRFLOW__FOO__USER}:${AIRFLOW__FOO__PASS}@host/a";
        let text = read(&format!("{index}\nmine==1\n"));
        let list = text.installation(&Pins::parse("mine==1\n"));
        assert_eq!(list, format!("{index}\nmine==1\n"));
        assert_eq!(read("mine==1").installation(&Pins::parse("mine==1")), "\nmine==1\n");
    }

    #[test]
    fn comments_and_options_ask_for_nothing() {
        assert!(read("# nothing\n\n--no-index\n").is_empty());
        assert!(!read("mine # and a word\n").is_empty());
    }

    #[test]
    fn constraints_of_their_own_free_everything_but_the_essential_pins() {
        let recipe = crate::airflow::recipe("2.10.3").expect("the recipe is there");
        let with = |own_constraints| base(recipe, &Text { own_constraints, ..Text::default() });
        assert_eq!(with(false), recipe.packages);
        let freed = with(true);
        let lines: Vec<&str> = freed.lines().collect();
        assert!(lines.contains(&"apache-airflow[celery,statsd]==2.10.3"), "{freed}");
        assert!(lines.contains(&"apache-airflow-providers-amazon[aiobotocore]"), "{freed}");
        assert!(lines.contains(&"boto3"), "{freed}");
    }

    #[test]
    fn another_version_of_a_provider_is_told_from_a_new_one() {
        let have = Pins::parse("apache-airflow-providers-amazon==9.0.0\nboto3==1.35.36\n");
        let told = |text| replaces_provider(&Pins::parse(text), &have);
        assert!(told("apache_airflow_providers_amazon==9.8.0\n"));
        assert!(!told("apache-airflow-providers-http==5.0.0\nboto3==1.37.0\n"));
    }

    #[test]
    fn pins_are_compared_by_the_packages_normal_name() {
        let have = Pins::parse("Flask_Login==0.6.3\nboto3==1.35.36\n# a comment\n");
        let want = Pins::parse("flask-login==0.6.3\nboto3==1.35.36\ncowsay==6.1\n");
        assert_eq!(want.without_names(&have).to_string(), "cowsay==6.1\n");
    }

    #[test]
    fn a_fault_in_the_file_is_placed_at_its_line() {
        let text = read("cowsay==6.1\nthis is = broken\n");
        let why = "Couldn't parse requirement in `project.in` at position 12: Expected one of `@`";
        let placed = place(why, &text, "requirements.txt");
        assert_eq!(
            placed,
            "requirements.txt:2: Couldn't parse requirement in it: Expected one of `@`"
        );
    }

    #[test]
    fn the_reason_is_the_resolvers_own_sentence() {
        let said = "  × No solution found when resolving dependencies:\n  ╰─▶ Because a needs b>2 and you\n      require b==1, it is unsatisfiable.\n";
        assert_eq!(reason(said), "Because a needs b>2 and you require b==1, it is unsatisfiable.");
        let said = "error: No solution found when resolving dependencies\n  cause: Because a is b\n         and c, no.\n";
        assert_eq!(reason(said), "Because a is b and c, no.");
        assert_eq!(reason("error: Failed to fetch x\n  Caused by: y"), "Failed to fetch x: y");
    }
}
