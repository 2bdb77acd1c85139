//! Follows what an environment's components write, and hands it on line by line.
//!
//! Components write to files of their own, so that nothing they say is lost or slowed down by us. The system tells us
//! of every change; how far each file was read is ours to know, and what was read is given back to the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::airflow::logging::Streams;
use crate::clock::Timestamp;
use crate::limits::{
    COMPONENT_LOG_KEPT_BYTES, COMPONENT_LOG_MAX_BYTES, LINE_MAX_BYTES, LOG_READ_BYTES,
    PARSER_LOG_DAYS, PARSER_LOG_MAX_BYTES, SCAN_UNWATCHED_SECONDS,
};
use crate::runtime::{LaunchPlan, LineSink};

/// Where lines go, and under which names.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) streams: Streams,
    pub(super) lines: Arc<dyn LineSink>,
}

impl Way {
    /// Of a launch that begins now.
    pub(super) fn of(plan: &LaunchPlan, now: Timestamp) -> Way {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let streams = Streams {
            host: host.unwrap_or_else(|| "localhost".to_owned()),
            launched: now,
            major: plan.recipe.major,
        };
        Way { streams, lines: Arc::clone(&plan.lines) }
    }
}

/// The ways of lines.
#[derive(Debug)]
struct Ways {
    /// Of what runs.
    running: Way,
    /// Of a launch that is being prepared: what its startup script says. It may come to nothing.
    prepared: Way,
}

/// A follower of one environment's folder of logs.
#[derive(Debug)]
pub(super) struct Following {
    ways: Arc<Mutex<Ways>>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Following {
    /// Follows the folder from now on.
    pub(super) fn start(logs: &Path, way: Way) -> Following {
        if let Err(error) = std::fs::create_dir_all(logs) {
            tracing::warn!(%error, "the folder of logs cannot be made");
        }
        let ways = Ways { running: way.clone(), prepared: way };
        let (ways, stop) = (Arc::new(Mutex::new(ways)), CancellationToken::new());
        let follower = Follower {
            // Events name files by their real paths.
            logs: logs.canonicalize().unwrap_or_else(|_| logs.to_owned()),
            ways: Arc::clone(&ways),
            files: BTreeMap::new(),
            days: BTreeSet::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(follower.run(stop.clone()));
        Following { ways, stop, task }
    }

    /// A launch is being prepared while another may be running: what is said of the one goes this way from now on.
    pub(super) fn prepare(&self, way: Way) {
        lock(&self.ways).prepared = way;
    }

    /// From now on all lines go another way: those of another launch.
    pub(super) fn turn(&self, way: Way) {
        *lock(&self.ways) = Ways { running: way.clone(), prepared: way };
    }

    /// Hands on what is left, and ends.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept in them is replaced whole, so a panic elsewhere leaves no half-written value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Files that have changed, and a bell.
#[derive(Debug, Default)]
struct Changes {
    files: Mutex<BTreeSet<PathBuf>>,
    /// Word of some changes was lost: look at every file.
    all: Mutex<bool>,
    bell: Notify,
}

/// How far a file was read.
#[derive(Debug, Default)]
struct Reached {
    bytes: u64,
    /// Before this, the disk has the file's space back.
    freed: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

struct Follower {
    logs: PathBuf,
    ways: Arc<Mutex<Ways>>,
    files: BTreeMap<PathBuf, Reached>,
    /// Folders of days that parsers' files were seen in.
    days: BTreeSet<PathBuf>,
}

/// Below the folder of logs: what Airflow says about DAG files, in folders by day.
const PARSER_LOGS: [&str; 2] = ["tasks/scheduler", "tasks/dag_processor"];

impl Follower {
    async fn run(mut self, stop: CancellationToken) {
        let changes = Arc::new(Changes::default());
        let watcher = match self.watch(&changes) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "log files cannot be watched; they are looked at every two seconds");
                None
            }
        };
        self.remove_old_days().await;
        self.pass_over_present();
        let unwatched = Duration::from_secs(SCAN_UNWATCHED_SECONDS);
        loop {
            tokio::select! {
                () = changes.bell.notified() => {}
                () = tokio::time::sleep(unwatched), if watcher.is_none() => *lock(&changes.all) = true,
                () = stop.cancelled() => break,
            }
            let mut due = std::mem::take(&mut *lock(&changes.files));
            if std::mem::take(&mut *lock(&changes.all)) {
                due.extend(self.present());
            }
            for file in due {
                let day = self.day_of(&file).filter(|day| day.file_name().is_some_and(is_day));
                if day.is_some_and(|day| !self.days.contains(&day)) {
                    self.remove_old_days().await;
                }
                self.read(&file).await;
            }
        }
        drop(watcher);
        for file in self.present() {
            self.read(&file).await;
            self.finish(&file).await;
        }
    }

    /// What earlier launches wrote was handed on by them. How much of it the disk has back is not known; giving it back
    /// twice does no harm.
    fn pass_over_present(&mut self) {
        for file in self.present() {
            let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            self.files.insert(file, Reached { bytes, freed: 0, partial: Vec::new() });
        }
    }

    fn watch(&self, changes: &Arc<Changes>) -> notify::Result<notify::RecommendedWatcher> {
        let heard = Arc::clone(changes);
        let hear = move |event: notify::Result<notify::Event>| {
            match event {
                Ok(event) if is_looking(&event) => return,
                Ok(event) if !event.need_rescan() => lock(&heard.files).extend(event.paths),
                Ok(_) | Err(_) => *lock(&heard.all) = true,
            }
            heard.bell.notify_one();
        };
        // A link names the newest day's folder; what lies behind it is followed already.
        let config = notify::Config::default().with_follow_symlinks(false);
        let mut watcher = notify::RecommendedWatcher::new(hear, config)?;
        watcher.watch(&self.logs, RecursiveMode::NonRecursive)?;
        for folder in PARSER_LOGS {
            let folder = self.logs.join(folder);
            std::fs::create_dir_all(&folder).map_err(notify::Error::io)?;
            watcher.watch(&folder, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    }

    /// Every file there is that holds lines for us.
    fn present(&self) -> Vec<PathBuf> {
        let parsers = PARSER_LOGS.iter().map(|folder| (self.logs.join(folder), usize::MAX));
        let roots = std::iter::once((self.logs.clone(), 1)).chain(parsers);
        roots
            .flat_map(|(root, depth)| walkdir::WalkDir::new(root).max_depth(depth))
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .map(walkdir::DirEntry::into_path)
            .filter(|file| self.way_of(file).is_some())
            .collect()
    }

    fn way_of(&self, file: &Path) -> Option<Way> {
        let below = file.strip_prefix(&self.logs).ok()?;
        let prepares = Streams::of_preparation(below);
        let way = {
            let ways = lock(&self.ways);
            if prepares { ways.prepared.clone() } else { ways.running.clone() }
        };
        way.streams.of_file(below).map(|_| way)
    }

    /// The folder of the day that a parser's file is in.
    fn day_of(&self, file: &Path) -> Option<PathBuf> {
        PARSER_LOGS.iter().find_map(|folder| {
            let folder = self.logs.join(folder);
            let day = file.strip_prefix(&folder).ok()?.components().next()?;
            Some(folder.join(day))
        })
    }

    /// Parsers write some megabytes a day for each DAG file, and nobody else removes them.
    async fn remove_old_days(&mut self) {
        self.days.clear();
        for folder in PARSER_LOGS {
            let entries = walkdir::WalkDir::new(self.logs.join(folder)).min_depth(1).max_depth(1);
            let mut days: Vec<PathBuf> = entries
                .sort_by_file_name()
                .into_iter()
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_dir() && is_day(entry.file_name()))
                .map(walkdir::DirEntry::into_path)
                .collect();
            let kept = days.split_off(days.len().saturating_sub(PARSER_LOG_DAYS));
            self.days.extend(kept);
            for day in days {
                self.files.retain(|file, _| !file.starts_with(&day));
                if let Err(error) = tokio::fs::remove_dir_all(&day).await {
                    tracing::warn!(%error, folder = %day.display(), "an old folder of logs cannot be removed");
                }
            }
        }
    }

    /// Hands on what is new in a file.
    async fn read(&mut self, file: &Path) {
        if self.way_of(file).is_none() {
            return;
        }
        let mut reached = self.files.remove(file).unwrap_or_default();
        if let Err(error) = self.read_on(file, &mut reached).await {
            if error.kind() == io::ErrorKind::NotFound {
                return;
            }
            tracing::warn!(%error, file = %file.display(), "a log file cannot be read");
        }
        self.files.insert(file.to_owned(), reached);
    }

    async fn read_on(&self, path: &Path, reached: &mut Reached) -> io::Result<()> {
        let mut file = File::open(path).await?;
        if file.metadata().await?.len() < reached.bytes {
            // Somebody has cut it; what is in it now is new.
            *reached = Reached::default();
        }
        file.seek(SeekFrom::Start(reached.bytes)).await?;
        let mut chunk = vec![0; LOG_READ_BYTES];
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                break;
            }
            reached.bytes += read as u64;
            reached.partial.extend_from_slice(&chunk[..read]);
            let lines = whole_lines(&mut reached.partial);
            self.hand_on(path, lines).await;
        }
        let (max, kept) = match self.day_of(path) {
            Some(_) => (PARSER_LOG_MAX_BYTES, 0),
            None => (COMPONENT_LOG_MAX_BYTES, COMPONENT_LOG_KEPT_BYTES),
        };
        if reached.bytes - reached.freed > max {
            let until = reached.bytes - kept;
            free(path, reached.freed, until)?;
            reached.freed = until;
        }
        Ok(())
    }

    /// The end of a line that will not come any more.
    async fn finish(&mut self, file: &Path) {
        let rest = self.files.get_mut(file).map(|reached| std::mem::take(&mut reached.partial));
        let rest = rest.unwrap_or_default();
        if !rest.is_empty() {
            self.hand_on(file, vec![text_of(&rest)]).await;
        }
    }

    async fn hand_on(&self, file: &Path, lines: Vec<String>) {
        let Some(way) = self.way_of(file).filter(|_| !lines.is_empty()) else { return };
        let below = file.strip_prefix(&self.logs).unwrap_or(file);
        if let Some((module, stream)) = way.streams.of_file(below) {
            way.lines.write(module, stream, lines).await;
        }
    }
}

/// Whether a folder is named like `2026-02-09`.
fn is_day(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.len() == 10 && name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}

/// Whether somebody merely opened, read or closed a file. We do so whenever we hear of one, so hearing of that too
/// would go round for ever.
fn is_looking(event: &notify::Event) -> bool {
    matches!(event.kind, notify::EventKind::Access(_)) && !event.need_rescan()
}

/// Takes every line that has its end, or is too long to wait for it.
fn whole_lines(bytes: &mut Vec<u8>) -> Vec<String> {
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => last + 1,
        None if bytes.len() > LINE_MAX_BYTES => bytes.len(),
        None => return Vec::new(),
    };
    let rest = bytes.split_off(end);
    let lines = std::mem::replace(bytes, rest);
    let lines = lines.split(|byte| *byte == b'\n').map(text_of);
    lines.filter(|line| !line.is_empty()).collect()
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// Gives the space of what was read back to the disk. Whoever writes to the file notices nothing: its end stays where
/// it is.
#[cfg(target_os = "linux")]
fn free(path: &Path, from: u64, until: u64) -> io::Result<()> {
    use nix::fcntl::{FallocateFlags, fallocate};
    let file = std::fs::File::options().write(true).open(path)?;
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let (from, length) = (from.cast_signed(), (until - from).cast_signed());
    match fallocate(&file, flags, from, length) {
        // A file system that cannot do it keeps the whole file.
        Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn free(_: &Path, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;
    use crate::airflow::logging::Module;

    #[derive(Debug)]
    struct Heard(mpsc::UnboundedSender<(Module, String, Vec<String>)>);

    #[async_trait]
    impl LineSink for Heard {
        async fn write(&self, module: Module, stream: String, lines: Vec<String>) {
            self.0.send((module, stream, lines)).unwrap();
        }
    }

    fn append(file: &Path, text: &str) {
        let mut file = std::fs::File::options().append(true).create(true).open(file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn reading_a_file_is_no_reason_to_read_it_again() {
        use notify::event::{AccessKind, AccessMode, DataChange, ModifyKind};
        let event = |kind| notify::Event::new(kind);
        let opened = notify::EventKind::Access(AccessKind::Open(AccessMode::Any));
        let written = notify::EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(is_looking(&event(opened)));
        assert!(!is_looking(&event(written)));
        assert!(!is_looking(&event(opened).set_flag(notify::event::Flag::Rescan)));
    }

    #[tokio::test]
    async fn lines_are_handed_on_as_they_are_written_and_the_last_one_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scheduler.log");
        append(&file, "before\n");
        let (tell, mut heard) = mpsc::unbounded_channel();
        let launched = Timestamp::from_millis(1_000);
        let streams = Streams { host: "h".to_owned(), launched, major: 2 };
        let way = Way { streams, lines: Arc::new(Heard(tell)) };
        let following = Following::start(folder.path(), way);
        // It has begun to watch once it tells of this.
        let first = folder.path().join("triggerer.log");
        let (_, stream, _) = loop {
            append(&first, "ready\n");
            let wait = tokio::time::timeout(Duration::from_millis(50), heard.recv()).await;
            if let Ok(Some(told)) = wait {
                break told;
            }
        };
        assert_eq!(stream, "triggerer_h_1.000.log");
        append(&file, "one\n\ntw");
        append(&file, "o\nlast");
        let mut lines = Vec::new();
        while lines.len() < 2 {
            let (module, _, more) = heard.recv().await.unwrap();
            if module == Module::Scheduler && !more.contains(&"ready".to_owned()) {
                lines.extend(more);
            }
        }
        assert_eq!(lines, ["one", "two"]);
        following.stop().await;
        assert_eq!(heard.recv().await.unwrap().2, ["last"]);
    }

    fn way(launched: i64) -> (Way, mpsc::UnboundedReceiver<(Module, String, Vec<String>)>) {
        let (tell, heard) = mpsc::unbounded_channel();
        let launched = Timestamp::from_millis(launched);
        let streams = Streams { host: "h".to_owned(), launched, major: 2 };
        (Way { streams, lines: Arc::new(Heard(tell)) }, heard)
    }

    fn follower(logs: &Path, way: &Way) -> (Follower, Following) {
        let ways = Arc::new(Mutex::new(Ways { running: way.clone(), prepared: way.clone() }));
        let follower = Follower {
            logs: logs.to_owned(),
            ways: Arc::clone(&ways),
            files: BTreeMap::new(),
            days: BTreeSet::new(),
        };
        let stop = CancellationToken::new();
        (follower, Following { ways, stop, task: JoinSet::new() })
    }

    #[tokio::test]
    async fn a_launch_that_comes_to_nothing_takes_no_lines_of_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let ((old, mut of_old), (new, mut of_new)) = (way(1_000), way(2_000));
        let (mut follower, following) = follower(folder.path(), &old);
        let scheduler = folder.path().join("scheduler.log");
        let startup = folder.path().join("startup_worker.log");
        following.prepare(new.clone());
        append(&scheduler, "it runs\n");
        append(&startup, "it is prepared\n");
        follower.read(&scheduler).await;
        follower.read(&startup).await;
        assert_eq!(of_old.try_recv().unwrap().2, ["it runs"]);
        let (_, stream, lines) = of_new.try_recv().unwrap();
        assert_eq!(stream, "startup_script_execution_h_2.000.log");
        assert_eq!(lines, ["it is prepared"]);
        assert!(of_old.try_recv().is_err() && of_new.try_recv().is_err());
        following.turn(new);
        append(&scheduler, "the new one\n");
        follower.read(&scheduler).await;
        assert_eq!(of_new.try_recv().unwrap().1, "scheduler_h_2.000.log");
        following.turn(old);
        append(&scheduler, "the old one again\n");
        follower.read(&scheduler).await;
        assert_eq!(of_old.try_recv().unwrap().2, ["the old one again"]);
    }

    #[tokio::test]
    async fn what_earlier_sessions_wrote_is_given_back_too() {
        let folder = tempfile::tempdir().unwrap();
        let (way, _heard) = way(1_000);
        let (mut follower, _following) = follower(folder.path(), &way);
        let file = folder.path().join("scheduler.log");
        let line = format!("{}\n", "x".repeat(1023));
        let half = usize::try_from(COMPONENT_LOG_MAX_BYTES / 2).unwrap() / line.len();
        append(&file, &line.repeat(half));
        follower.pass_over_present();
        append(&file, &line.repeat(half + 1));
        follower.read(&file).await;
        let reached = &follower.files[&file];
        assert!(reached.bytes > COMPONENT_LOG_MAX_BYTES);
        assert_eq!(reached.freed, reached.bytes - COMPONENT_LOG_KEPT_BYTES);
    }

    #[tokio::test]
    async fn what_parsers_write_stays_for_two_days_and_is_given_back_once_read() {
        let folder = tempfile::tempdir().unwrap();
        let (way, mut heard) = way(1_000);
        let (mut follower, _following) = follower(folder.path(), &way);
        let root = folder.path().join(PARSER_LOGS[0]);
        let file = |day: &str| root.join(day).join("a.py.log");
        for day in ["2026-02-07", "2026-02-08", "2026-02-09", "mine"] {
            std::fs::create_dir_all(root.join(day)).unwrap();
            append(&file(day), &"parsed\n".repeat(10_000));
            follower.read(&file(day)).await;
            assert_eq!(heard.recv().await.unwrap().0, Module::DagProcessing);
        }
        assert!(follower.files.values().all(|reached| reached.freed == reached.bytes));
        follower.remove_old_days().await;
        let there =
            ["2026-02-07", "2026-02-08", "2026-02-09", "mine"].map(|day| file(day).exists());
        assert_eq!(there, [false, true, true, true]);
        follower.read(&file("2026-02-07")).await;
        assert_eq!(follower.files.len(), 3);
    }

    #[test]
    fn a_line_without_an_end_is_not_waited_for_for_ever() {
        let mut bytes = vec![b'x'; LINE_MAX_BYTES + 1];
        assert_eq!(whole_lines(&mut bytes).len(), 1);
        assert!(bytes.is_empty());
        let mut bytes = b"a\r\nb".to_vec();
        assert_eq!(whole_lines(&mut bytes), ["a"]);
        assert_eq!(bytes, b"b");
    }

    #[test]
    fn the_disk_gets_back_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scheduler.log");
        append(&file, &"x".repeat(1 << 20));
        free(&file, 0, 1 << 19).unwrap();
        append(&file, "end");
        let text = std::fs::read(&file).unwrap();
        assert_eq!(text.len(), (1 << 20) + 3);
        assert!(text.ends_with(b"xend"));
    }
}
