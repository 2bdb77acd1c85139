//! Hints that something in the folder has changed. Nothing depends on one: every scan looks for itself.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::scan::is_litter;
use crate::config::{Layout, Plugins};

/// Which folder it was that was watched: a path may name another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// Watches whatever of the layout is there.
#[derive(Debug)]
pub(super) struct Watch {
    /// What may be there, and how much of it matters.
    wanted: BTreeMap<PathBuf, RecursiveMode>,
    armed: BTreeMap<PathBuf, Identity>,
    hints: Arc<Notify>,
    watcher: Result<RecommendedWatcher, String>,
    trouble: Option<String>,
}

impl Watch {
    /// Nothing is watched before [`Watch::arm`].
    pub(super) fn new(layout: &Layout) -> Watch {
        let hints = Arc::new(Notify::new());
        let (trees, files) = subjects(layout);
        let mut wanted = BTreeMap::new();
        for path in trees.iter().chain(&files) {
            // The folder around it, so that we hear when it comes and goes.
            if let Some(around) = path.parent() {
                wanted.entry(around.to_owned()).or_insert(RecursiveMode::NonRecursive);
            }
        }
        for tree in &trees {
            wanted.insert(tree.clone(), RecursiveMode::Recursive);
        }
        let (told, subjects) = (Arc::clone(&hints), [trees, files].concat());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean that events were lost: that, too, is a reason to look.
            if event.as_ref().map_or(true, |event| matters(event, &subjects)) {
                told.notify_one();
            }
        })
        .map_err(|error| error.to_string());
        Watch { wanted, armed: BTreeMap::new(), hints, watcher, trouble: None }
    }

    /// Watches what has appeared since the last time. True when there was something: look again.
    pub(super) async fn arm(mut self) -> (Watch, bool) {
        // Placing watches walks folders.
        let arm = move || {
            let fresh = self.arm_now();
            (self, fresh)
        };
        tokio::task::spawn_blocking(arm).await.expect("placing watches does not panic")
    }

    fn arm_now(&mut self) -> bool {
        self.trouble = None;
        let watcher = match &mut self.watcher {
            Ok(watcher) => watcher,
            Err(why) => {
                self.trouble = Some(why.clone());
                return false;
            }
        };
        let mut fresh = false;
        for (path, mode) in &self.wanted {
            let identity = std::fs::metadata(path)
                .ok()
                .filter(std::fs::Metadata::is_dir)
                .map(|metadata| Identity { device: metadata.dev(), inode: metadata.ino() });
            if identity == self.armed.get(path).copied() {
                continue;
            }
            if self.armed.remove(path).is_some() {
                // The system has dropped the watch of a removed folder by itself; then this fails, rightly.
                drop(watcher.unwatch(path));
            }
            let Some(identity) = identity else { continue };
            match watcher.watch(path, *mode) {
                Ok(()) => {
                    self.armed.insert(path.clone(), identity);
                    fresh = true;
                }
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
        fresh
    }

    /// Why changes are not notified, if they are not.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns when something may have changed since the last call.
    pub(super) async fn hint(&self) {
        self.hints.notified().await;
    }
}

/// Folders that matter with all that is in them, and single files.
fn subjects(layout: &Layout) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut trees = vec![layout.dags.clone()];
    let mut files: Vec<PathBuf> =
        [&layout.requirements, &layout.startup_script].into_iter().flatten().cloned().collect();
    match &layout.plugins {
        Some(Plugins::Folder(path)) => trees.push(path.clone()),
        Some(Plugins::Archive(path)) => files.push(path.clone()),
        None => {}
    }
    (trees, files)
}

fn matters(event: &Event, subjects: &[PathBuf]) -> bool {
    // Our own scans open and read files; only a close after writing is news.
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let by_writing = !matches!(event.kind, EventKind::Access(_)) || event.kind == written;
    by_writing
        && (event.paths.is_empty()
            || event.need_rescan()
            || event.paths.iter().any(|path| concerns(path, subjects)))
}

fn concerns(path: &Path, subjects: &[PathBuf]) -> bool {
    subjects.iter().any(|subject| match path.strip_prefix(subject) {
        Ok(below) => !below.iter().any(is_litter),
        Err(_) => subject.starts_with(path),
    })
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind};

    use super::*;

    #[test]
    fn only_what_changes_somebodys_work_is_a_hint() {
        let subjects = [PathBuf::from("/p/dags"), PathBuf::from("/p/requirements.txt")];
        let event = |kind: EventKind, path: &str| Event::new(kind).add_path(PathBuf::from(path));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        for (kind, path, expected) in [
            (written, "/p/dags/a.py", true),
            (opened, "/p/dags/a.py", false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), "/p/dags/a.py", true),
            (written, "/p/dags/__pycache__/a.pyc", false),
            (written, "/p/.windtunnel", false),
            (written, "/p/requirements.txt", true),
            (EventKind::Create(CreateKind::Folder), "/p/dags", true),
            (EventKind::Create(CreateKind::Folder), "/p", true),
        ] {
            assert_eq!(matters(&event(kind, path), &subjects), expected, "{kind:?} {path}");
        }
    }
}
