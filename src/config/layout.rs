//! Where a project keeps its files: windtunnel's own layout, and those that people already have.
//!
//! Each piece is looked for in the places of all known layouts, first match wins; the name is only for people.

use std::path::{Path, PathBuf};

use super::{Layout, Plugins};

const REQUIREMENTS: [&str; 3] =
    ["requirements/requirements.txt", "requirements.txt", "dags/requirements.txt"];
const STARTUP_SCRIPTS: [&str; 3] =
    ["startup_script/startup.sh", "startup/startup.sh", "startup.sh"];

/// Looks at `project` as it is now.
pub fn detect(project: &Path) -> Layout {
    let file = |name: &&str| project.join(name).is_file();
    let first =
        |names: &[&str]| names.iter().find(|name| file(name)).map(|name| project.join(name));
    Layout {
        name: name(project),
        dags: project.join("dags"),
        plugins: plugins(project),
        requirements: first(&REQUIREMENTS),
        startup_script: first(&STARTUP_SCRIPTS),
        dotenv: first(&[".env"]),
    }
}

/// Whether `folder` is the root of a project.
pub(super) fn is_project(folder: &Path) -> bool {
    folder.join("windtunnel.toml").is_file()
        || folder.join("dags").is_dir()
        || folder.join(".windtunnel").is_dir()
}

fn plugins(project: &Path) -> Option<Plugins> {
    let folder = project.join("plugins");
    if folder.is_dir() {
        return Some(Plugins::Folder(folder));
    }
    let archives = ["plugins.zip", "requirements/plugins.zip"];
    let archive: Option<PathBuf> =
        archives.iter().map(|name| project.join(name)).find(|path| path.is_file());
    archive.map(Plugins::Archive)
}

fn name(project: &Path) -> &'static str {
    let has = |name: &str| project.join(name).exists();
    if has("windtunnel.toml") {
        "windtunnel"
    } else if has("mwaa-local-env") {
        "aws-mwaa-local-runner"
    } else if has(".astro") || (has("include") && has("packages.txt")) {
        "Astro CLI"
    } else if has("startup/startup.sh") || has("images/airflow") {
        "amazon-mwaa-docker-images"
    } else {
        "windtunnel"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with these files, and the layout found in it, with paths relative to it.
    fn detected(files: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                std::fs::create_dir_all(&path).unwrap();
                continue;
            }
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
        }
        format!("{:?}", detect(folder.path())).replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn our_own_layout_is_recognised() {
        let files = [
            "windtunnel.toml",
            "dags/a.py",
            "plugins/p.py",
            "requirements/requirements.txt",
            "startup_script/startup.sh",
            ".env",
        ];
        insta::assert_snapshot!(detected(&files), @r#"Layout { name: "windtunnel", dags: "dags", plugins: Some(Folder("plugins")), requirements: Some("requirements/requirements.txt"), startup_script: Some("startup_script/startup.sh"), dotenv: Some(".env") }"#);
    }

    #[test]
    fn the_local_runners_layout_is_recognised() {
        let files = [
            "mwaa-local-env",
            "dags/requirements.txt",
            "plugins/",
            "startup_script/startup.sh",
            "requirements/requirements.txt",
        ];
        insta::assert_snapshot!(detected(&files), @r#"Layout { name: "aws-mwaa-local-runner", dags: "dags", plugins: Some(Folder("plugins")), requirements: Some("requirements/requirements.txt"), startup_script: Some("startup_script/startup.sh"), dotenv: None }"#);
    }

    #[test]
    fn the_docker_images_layout_is_recognised() {
        let files = ["dags/a.py", "requirements/plugins.zip", "startup/startup.sh"];
        insta::assert_snapshot!(detected(&files), @r#"Layout { name: "amazon-mwaa-docker-images", dags: "dags", plugins: Some(Archive("requirements/plugins.zip")), requirements: None, startup_script: Some("startup/startup.sh"), dotenv: None }"#);
    }

    #[test]
    fn an_astro_project_is_recognised() {
        let files = [".astro/config.yaml", "dags/", "include/", "plugins/", "requirements.txt"];
        insta::assert_snapshot!(detected(&files), @r#"Layout { name: "Astro CLI", dags: "dags", plugins: Some(Folder("plugins")), requirements: Some("requirements.txt"), startup_script: None, dotenv: None }"#);
    }

    #[test]
    fn an_empty_folder_is_no_project() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_project(folder.path()));
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        assert!(is_project(folder.path()));
    }
}
