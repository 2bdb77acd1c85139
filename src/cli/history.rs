//! What `versions`, `diff` and `restore` have in common: which object a path means, and what was kept of it.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Place;
use super::client::Client;
use super::failure::{Failure, NO};
use crate::config::flags::Flags;
use crate::config::{Config, EnvironmentSettings, Layout, Plugins};
use crate::mirror::{PLUGINS_KEY, REQUIREMENTS_KEY, STARTUP_KEY};

/// A file of the project and the object that it is mirrored to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// Relative to the project's folder.
    pub(super) shown: String,
    pub(super) bucket: String,
    pub(super) key: String,
    /// Where the file lies; `None` for plugins.zip that is made from a folder.
    pub(super) file: Option<PathBuf>,
}

/// One version, as the console tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Version {
    #[serde(rename = "version_id")]
    pub(super) id: String,
    pub(super) is_latest: bool,
    pub(super) is_delete_marker: bool,
    pub(super) size_bytes: u64,
    pub(super) modified: String,
}

/// A subject, its versions (the newest first), and whom to ask for their bytes.
#[derive(Debug)]
pub(super) struct History {
    pub(super) subject: Subject,
    pub(super) versions: Vec<Version>,
    /// The answer that the versions were in.
    pub(super) told: Value,
    pub(super) client: Client,
}

impl History {
    /// Of the object that `path` is mirrored to.
    pub(super) async fn of(place: &Place, path: &Path) -> Result<History, Failure> {
        let config = place.config(&Flags::default())?;
        let settings = config.environment.as_ref().expect("only `up --no-airflow` has none");
        let subject = subject(&config, settings, &absolute(&place.machine.folder, path))?;
        let (client, _) = Client::needed(&config.state).await?;
        let told = client.get(&format!("/console/v1/versions?{}", query(&subject))).await?;
        let versions: Vec<Version> =
            serde_json::from_value(told["versions"].clone()).map_err(|error| {
                Failure::cannot("read the answer", &error, "run `windtunnel restart`")
            })?;
        if versions.is_empty() {
            return Err(Failure::new(format!("{} has no version", subject.shown))
                .why(format!("s3://{}/{} was never written", subject.bucket, subject.key))
                .next("save the file while windtunnel runs; `aws s3 ls --recursive` shows what is there")
                .code(NO));
        }
        Ok(History { subject, versions, told, client })
    }

    /// The version with that id, or the only one whose id begins so.
    pub(super) fn version(&self, id: &str) -> Result<&Version, Failure> {
        if let Some(exact) = self.versions.iter().find(|version| version.id == id) {
            return Ok(exact);
        }
        let mut like = self.versions.iter().filter(|version| version.id.starts_with(id));
        match (like.next(), like.next()) {
            (Some(only), None) if !id.is_empty() => Ok(only),
            (first, _) => {
                let why = if first.is_some() { "several ids begin so" } else { "no id begins so" };
                Err(Failure::new(format!("{} has no version `{id}`", self.subject.shown))
                    .why(why)
                    .next(format!("`windtunnel versions {}` lists them", self.subject.shown))
                    .code(NO))
            }
        }
    }

    /// The bytes of a version; none for a delete marker.
    pub(super) async fn bytes(&self, version: &Version) -> Result<Bytes, Failure> {
        if version.is_delete_marker {
            return Ok(Bytes::new());
        }
        let id = utf8_percent_encode(&version.id, NON_ALPHANUMERIC);
        let path = format!("/console/v1/object?{}&version_id={id}", query(&self.subject));
        self.client.bytes(Method::GET, &path, Bytes::new()).await
    }
}

fn query(subject: &Subject) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("bucket={}&key={}", encoded(&subject.bucket), encoded(&subject.key))
}

/// `path` as seen from `folder`, without looking at the disk: the file may be gone.
fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    whole
}

/// The object that the file at `path` is mirrored to.
fn subject(
    config: &Config,
    settings: &EnvironmentSettings,
    path: &Path,
) -> Result<Subject, Failure> {
    // The project's folder has its links followed; the path that was typed may have come another way.
    let followed = path.parent().and_then(|parent| parent.canonicalize().ok());
    let path = match (followed, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    };
    let shown = path.strip_prefix(&config.project).unwrap_or(&path).display().to_string();
    let found = key_of(&config.layout, &settings.dag_s3_path, &path);
    let (key, file) = found.ok_or_else(|| {
        Failure::new(format!("{shown} is not mirrored to the bucket"))
            .why("versions are kept of the DAGs, the plugins, the requirements and the startup script")
            .next("name a file below dags/; `windtunnel status` shows the project")
    })?;
    Ok(Subject { shown, bucket: settings.bucket.to_string(), key, file })
}

fn key_of(layout: &Layout, dag_path: &str, path: &Path) -> Option<(String, Option<PathBuf>)> {
    if let Ok(below) = path.strip_prefix(&layout.dags) {
        let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
        let below = parts?.join("/");
        return (!below.is_empty()).then(|| (format!("{dag_path}/{below}"), Some(path.to_owned())));
    }
    let file = |key: &str| Some((key.to_owned(), Some(path.to_owned())));
    // A file that was deleted is no part of the layout any more, but its name says what it was.
    let named = |place: &Option<PathBuf>, name: &str| match place {
        Some(place) => place == path,
        None => path.file_name().is_some_and(|given| given == name),
    };
    if named(&layout.requirements, "requirements.txt") {
        return file(REQUIREMENTS_KEY);
    }
    if named(&layout.startup_script, "startup.sh") {
        return file(STARTUP_KEY);
    }
    match &layout.plugins {
        Some(Plugins::Archive(archive)) if archive == path => file(PLUGINS_KEY),
        Some(Plugins::Folder(folder))
            if path.starts_with(folder) || path.file_name().is_some_and(|n| n == PLUGINS_KEY) =>
        {
            Some((PLUGINS_KEY.to_owned(), None))
        }
        Some(_) => None,
        None => {
            path.file_name().filter(|name| *name == PLUGINS_KEY).and_then(|_| file(PLUGINS_KEY))
        }
    }
}

/// A size as a person reads it.
pub(super) fn sized(bytes: u64) -> String {
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes;
    for unit in ["kB", "MB", "GB"] {
        if value < 1_000_000 || unit == "GB" {
            return format!("{}.{} {unit}", value / 1_000, value % 1_000 / 100);
        }
        value /= 1_000;
    }
    unreachable!("the last unit takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(plugins: Option<Plugins>) -> Layout {
        Layout {
            name: "windtunnel",
            dags: "/p/dags".into(),
            plugins,
            requirements: Some("/p/requirements.txt".into()),
            startup_script: None,
            dotenv: None,
        }
    }

    #[test]
    fn a_path_means_the_object_that_it_is_mirrored_to() {
        let layout = layout(Some(Plugins::Folder("/p/plugins".into())));
        let key = |path: &str| {
            let found =
                key_of(&layout, "team/dags", &absolute(Path::new("/p/dags"), Path::new(path)));
            found.map(|(key, file)| (key, file.is_some()))
        };
        let is = |key: &str, restorable| Some((key.to_owned(), restorable));
        assert_eq!(key("etl.py"), is("team/dags/etl.py", true));
        assert_eq!(key("../dags/./sub/../a b.py"), is("team/dags/a b.py", true));
        assert_eq!(key("../requirements.txt"), is("requirements.txt", true));
        assert_eq!(key("../startup.sh"), is("startup.sh", true), "it may have been deleted");
        assert_eq!(key("../plugins/ops/x.py"), is("plugins.zip", false));
        assert_eq!(key("../windtunnel.toml"), None);
        assert_eq!(key("."), None);
    }

    #[test]
    fn sizes_are_short() {
        let shown = [0, 999, 1_000, 1_250, 999_999, 1_500_000, 20_000_000_000].map(sized);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "1.2 kB", "999.9 kB", "1.5 MB", "20.0 GB"]);
    }
}
