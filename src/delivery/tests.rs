//! A bucket, a directory and the database, all real. Only Airflow is not: what reads the files here finds `dag NAME`
//! lines, and calls `broken` an error.

use std::fs;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::config::Durability;
use crate::db::Event;
use crate::id::{LaunchId, ReceiverName};
use crate::objects::{self, Metadata};
use crate::runtime::{
    ComponentState, ExecError, LaunchError, LaunchPlan, Life, Output, Parsed, Progress, Upstream,
    Worker,
};

/// Reads dag files, and remembers which it was asked to read.
#[derive(Debug)]
struct Reader {
    dags: PathBuf,
    life: watch::Sender<Life>,
    asked: Mutex<Vec<DagChanges>>,
}

impl Reader {
    fn read(&self, path: &Path) -> Option<Parsed> {
        let text = fs::read_to_string(self.dags.join(path)).ok()?;
        let dag_ids: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("dag ").map(str::to_owned)).collect();
        let error = text.lines().position(|line| line == "broken").map(|line| ImportError {
            message: "NameError: broken".to_owned(),
            file: path.to_owned(),
            line: u32::try_from(line).unwrap() + 1,
            traceback: String::new(),
        });
        Some(Parsed { path: path.to_owned(), dag_ids, took: Duration::ZERO, error })
    }
}

#[async_trait]
impl Runtime for Reader {
    async fn sweep(&self) -> std::io::Result<()> {
        Ok(())
    }

    async fn launch(&self, _: LaunchPlan, _: Progress) -> Result<(), LaunchError> {
        Ok(())
    }

    async fn stop(&self, _: &EnvironmentName, _: Duration) {}

    async fn exec(
        &self,
        environment: &EnvironmentName,
        _: Vec<String>,
        _: Duration,
    ) -> Result<Output, ExecError> {
        Err(ExecError::NotRunning(environment.clone()))
    }

    async fn parse(
        &self,
        _: &EnvironmentName,
        changes: DagChanges,
    ) -> Result<Vec<Parsed>, ExecError> {
        let parsed = changes.written.iter().filter_map(|path| self.read(path)).collect();
        self.asked.lock().unwrap().push(changes);
        Ok(parsed)
    }

    fn upstream(&self, _: &EnvironmentName) -> Option<Upstream> {
        None
    }

    fn life(&self, _: &EnvironmentName) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    fn components(&self, _: &EnvironmentName) -> Vec<ComponentState> {
        Vec::new()
    }

    async fn usage(&self, _: &EnvironmentName) -> Vec<crate::runtime::Usage> {
        Vec::new()
    }

    fn workers(&self, _: &EnvironmentName) -> watch::Receiver<Vec<Worker>> {
        watch::Sender::default().subscribe()
    }

    fn scale(&self, _: &EnvironmentName, _: u32, _: &[ReceiverName]) {}
}

struct Room {
    delivery: Option<Delivery>,
    reader: Arc<Reader>,
    objects: Objects,
    bucket: BucketName,
    db: Db,
    dags: PathBuf,
    _home: tempfile::TempDir,
}

async fn room() -> Room {
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let schemas = [SCHEMA, objects::SCHEMA];
    let path = home.path().join("db");
    let db = Db::open(&path, Durability::Process, &schemas, clock.clone()).unwrap();
    let objects = Objects::open(&home.path().join("blobs"), db.clone(), clock).await.unwrap();
    let bucket = BucketName::parse("project").unwrap();
    objects.ensure_versioned_bucket(&bucket).await.unwrap();
    let dags = home.path().join("environment/dags");
    let (life, asked) = (watch::Sender::new(Life::Running(LaunchId(1))), Mutex::default());
    let reader = Arc::new(Reader { dags: dags.clone(), life, asked });
    let delivery = Delivery::new(
        environment(),
        bucket.clone(),
        "dags".to_owned(),
        dags.clone(),
        objects.clone(),
        db.clone(),
        Arc::clone(&reader) as Arc<dyn Runtime>,
        Duration::ZERO,
    );
    Room { delivery: Some(delivery), reader, objects, bucket, db, dags, _home: home }
}

/// A delivery whose changes may wait that long, and its folder.
pub(super) async fn slow(sync_interval: Duration) -> (Delivery, tempfile::TempDir) {
    let Room { delivery, _home: home, .. } = room().await;
    (Delivery { sync_interval, ..delivery.unwrap() }, home)
}

fn environment() -> EnvironmentName {
    EnvironmentName::parse("dev").unwrap()
}

fn paths(all: &[&str]) -> Vec<PathBuf> {
    all.iter().map(PathBuf::from).collect()
}

impl Room {
    async fn put(&self, key: &str, text: &'static str) {
        let key = ObjectKey::parse(key).unwrap();
        let bytes = Bytes::from(text);
        self.objects.put_bytes(&self.bucket, &key, bytes, Metadata::default()).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.objects.delete(&self.bucket, &ObjectKey::parse(key).unwrap()).await.unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.dags.join(path)).unwrap_or_default()
    }

    async fn sync(&self) -> DagChanges {
        self.delivery.as_ref().unwrap().sync_once().await.unwrap()
    }

    /// Follows the bucket beside `work`.
    async fn beside<F: Future>(mut self, work: impl FnOnce(Follower) -> F) {
        let stop = CancellationToken::new();
        let running = self.delivery.take().unwrap().run(stop.clone());
        let work = async {
            work(Follower { room: self, seq: 0 }).await;
            stop.cancel();
        };
        timeout(Duration::from_secs(30), async { tokio::join!(running, work) }).await.unwrap();
    }
}

struct Follower {
    room: Room,
    seq: u64,
}

impl Follower {
    /// The next parse of `key`: its dag ids or its error.
    async fn parsed(&mut self, key: &str) -> Result<Vec<String>, String> {
        let mut seen = self.room.db.journal().subscribe();
        loop {
            for numbered in self.room.db.events_after(self.seq, 100).await.unwrap() {
                self.seq = numbered.seq;
                if let Event::DagParsed { key: parsed, dag_ids, error, .. } = numbered.event
                    && parsed.as_str() == key
                {
                    return error.map_or(Ok(dag_ids), Err);
                }
            }
            seen.changed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_directory_is_made_exactly_what_the_bucket_holds() {
    let room = room().await;
    room.put("dags/a.py", "1").await;
    room.put("dags/team/b.py", "1").await;
    room.put("dags/folder/", "").await;
    room.put("dags/../escape.py", "no").await;
    room.put("requirements.txt", "no").await;
    assert_eq!(room.sync().await.written, paths(&["a.py", "team/b.py"]));
    assert_eq!(room.sync().await, DagChanges::default());
    fs::write(room.dags.join("a.py"), "damaged").unwrap();
    fs::write(room.dags.join("stray.py"), "").unwrap();
    room.delete("dags/team/b.py").await;
    let changes = room.sync().await;
    assert_eq!(changes.written, paths(&["a.py"]));
    assert_eq!(changes.removed, paths(&["stray.py", "team/b.py"]));
    assert_eq!(room.text("a.py"), "1");
    assert_eq!(fs::read_dir(&room.dags).unwrap().count(), 1);
    assert!(!room.dags.join("../escape.py").exists());
}

#[tokio::test]
async fn an_upload_is_read_by_airflow_at_once_and_a_deletion_too() {
    let room = room().await;
    room.put("dags/a.py", "dag one").await;
    room.beside(async |mut follower: Follower| {
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]));
        follower.room.put("dags/a.py", "dag two").await;
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["two".to_owned()]));
        follower.room.put("dags/a.py", "import x\nbroken").await;
        let error = follower.parsed("dags/a.py").await.unwrap_err();
        assert_eq!(error, "dags/a.py:2: NameError: broken");
        let outcomes = outcomes(&follower.room.db, &environment()).await.unwrap();
        assert_eq!(outcomes[0].error.as_ref().unwrap().line, 2);
        follower.room.delete("dags/a.py").await;
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec![]));
        assert!(!follower.room.dags.join("a.py").exists());
        let asked = follower.room.reader.asked.lock().unwrap().last().cloned().unwrap();
        assert_eq!(asked, DagChanges { written: vec![], removed: paths(&["a.py"]) });
    })
    .await;
}

#[tokio::test]
async fn what_imports_a_changed_module_is_read_again() {
    let room = room().await;
    room.put("dags/a.py", "dag one").await;
    room.put("dags/lib/module.py", "x = 1").await;
    room.beside(async |mut follower: Follower| {
        follower.parsed("dags/a.py").await.unwrap();
        follower.room.put("dags/lib/module.py", "x = 2").await;
        follower.parsed("dags/lib/module.py").await.unwrap();
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]));
        follower.room.put("dags/config.yaml", "x: 3").await;
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn what_imports_a_module_is_read_again_when_the_module_breaks_and_when_it_is_mended() {
    let room = room().await;
    room.put("dags/a.py", "dag one").await;
    room.put("dags/module.py", "x = 1").await;
    room.beside(async |mut follower: Follower| {
        follower.parsed("dags/a.py").await.unwrap();
        for (text, good) in [("broken", false), ("x = 2", true)] {
            follower.room.put("dags/module.py", text).await;
            // Its first reading may still have been on the way.
            while follower.parsed("dags/module.py").await.is_ok() != good {}
            assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_python_keeps_beside_the_files_is_not_delivered() {
    let room = room().await;
    room.put("dags/a.py", "dag one").await;
    room.put("dags/__pycache__/a.cpython-311.pyc", "compiled").await;
    room.put("dags/team/__pycache__/b.py", "dag two").await;
    assert_eq!(room.sync().await.written, paths(&["a.py"]));
    assert_eq!(room.sync().await, DagChanges::default());
    assert!(!room.dags.join("__pycache__").exists() && !room.dags.join("team").exists());
}

#[tokio::test]
async fn a_launch_has_everything_read() {
    let room = room().await;
    room.reader.life.send_replace(Life::Stopped);
    room.put("dags/a.py", "dag one").await;
    room.sync().await;
    room.beside(async |mut follower: Follower| {
        follower.room.reader.life.send_replace(Life::Running(LaunchId(2)));
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]));
        follower.room.reader.life.send_replace(Life::Running(LaunchId(3)));
        assert_eq!(follower.parsed("dags/a.py").await, Ok(vec!["one".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn a_key_that_cannot_be_a_file_is_reported() {
    let room = room().await;
    room.put("dags/a", "file").await;
    room.put("dags/a/b.py", "dag one").await;
    room.beside(async |mut follower: Follower| {
        let error = follower.parsed("dags/a/b.py").await.unwrap_err();
        assert!(error.contains("cannot be a dag file"), "{error}");
    })
    .await;
}
