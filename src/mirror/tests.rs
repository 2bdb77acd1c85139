//! A folder, a bucket and the database, all real.

use std::fs;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::config::{Durability, Plugins};

struct Room {
    mirror: Mirror,
    objects: Objects,
    root: tempfile::TempDir,
}

async fn room() -> Room {
    let root = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let schemas = [SCHEMA, objects::SCHEMA];
    let path = root.path().join("db");
    let db = Db::open(&path, Durability::Process, &schemas, clock.clone()).unwrap();
    let objects = Objects::open(&root.path().join("blobs"), db.clone(), clock).await.unwrap();
    let bucket = BucketName::parse("project").unwrap();
    objects.ensure_versioned_bucket(&bucket).await.unwrap();
    let project = root.path().join("project");
    fs::create_dir_all(project.join("dags")).unwrap();
    let layout = Layout {
        name: "windtunnel",
        dags: project.join("dags"),
        plugins: Some(Plugins::Folder(project.join("plugins"))),
        requirements: Some(project.join("requirements.txt")),
        startup_script: None,
        dotenv: None,
    };
    let mirror = Mirror::new(layout, bucket, "dags/".to_owned(), objects.clone(), db);
    Room { mirror, objects, root }
}

impl Room {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("project").join(name)
    }

    fn save(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Current keys and their texts.
    async fn bucket(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for version in self.objects.current_below(&self.mirror.bucket, "dags/").await.unwrap() {
            let bytes = self.objects.read_all(&version).await.unwrap();
            all.push((version.key.to_string(), String::from_utf8(bytes.to_vec()).unwrap()));
        }
        all
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn saves_become_versions_and_an_unchanged_folder_makes_none() {
    let room = room().await;
    room.save("dags/a.py", "1");
    room.save("dags/team/b.py", "1");
    assert_eq!(room.mirror.scan().await.unwrap().changed, 2);
    assert_eq!(room.mirror.scan().await.unwrap().changed, 0);
    room.save("dags/a.py", "2");
    fs::remove_file(room.path("dags/team/b.py")).unwrap();
    assert_eq!(room.mirror.scan().await.unwrap().changed, 2);
    assert_eq!(room.bucket().await, pairs(&[("dags/a.py", "2")]));
}

#[tokio::test]
async fn what_somebody_uploads_is_not_undone() {
    let room = room().await;
    room.save("dags/a.py", "folder");
    room.mirror.scan().await.unwrap();
    for key in ["dags/a.py", "dags/uploaded.py"] {
        let key = ObjectKey::parse(key).unwrap();
        let bytes = Bytes::from("uploaded");
        let metadata = objects::Metadata::default();
        room.objects.put_bytes(&room.mirror.bucket, &key, bytes, metadata).await.unwrap();
    }
    assert_eq!(room.mirror.scan().await.unwrap().changed, 0);
    let uploaded = pairs(&[("dags/a.py", "uploaded"), ("dags/uploaded.py", "uploaded")]);
    assert_eq!(room.bucket().await, uploaded);
    room.save("dags/a.py", "saved again");
    room.mirror.scan().await.unwrap();
    assert_eq!(room.bucket().await[0].1, "saved again");
}

#[tokio::test]
async fn artefacts_are_pinned_and_an_unchanged_plugins_folder_keeps_its_version() {
    let room = room().await;
    assert_eq!(room.mirror.scan().await.unwrap(), Artefacts::default());
    room.save("requirements.txt", "attrs");
    room.save("plugins/ops/__init__.py", "");
    let first = room.mirror.scan().await.unwrap();
    assert_eq!(first.requirements.as_ref().unwrap().0.as_str(), "requirements.txt");
    assert_eq!(first.changed, 2);
    // Another memory, as after a restart: everything is read again.
    let Mirror { layout, bucket, dag_path, objects, db, .. } = room.mirror.clone();
    let again = Mirror::new(layout, bucket, dag_path, objects, db).scan().await.unwrap();
    assert_eq!(again, Artefacts { changed: 0, ..first.clone() });
    room.save("plugins/ops/__init__.py", "x = 1");
    let changed = room.mirror.scan().await.unwrap();
    assert_ne!(changed.plugins, first.plugins);
    fs::remove_dir_all(room.path("plugins")).unwrap();
    assert_eq!(room.mirror.scan().await.unwrap().plugins, None);
}

/// Runs the mirror beside `work`, which hears the notes.
async fn beside<F: Future>(room: &Room, work: impl FnOnce(mpsc::UnboundedReceiver<Note>) -> F) {
    let (tell, notes) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let running = room.mirror.clone().run(stop.clone(), move |note| drop(tell.send(note)));
    let work = async {
        work(notes).await;
        stop.cancel();
    };
    timeout(Duration::from_secs(30), async { tokio::join!(running, work) }).await.unwrap();
}

async fn mirrored(notes: &mut mpsc::UnboundedReceiver<Note>) -> (Vec<String>, Vec<String>) {
    loop {
        if let Note::Mirrored { written, deleted, .. } = notes.recv().await.unwrap() {
            let texts = |keys: Vec<ObjectKey>| keys.iter().map(ToString::to_string).collect();
            return (texts(written), texts(deleted));
        }
    }
}

#[tokio::test]
async fn a_save_is_mirrored_within_a_moment() {
    let room = room().await;
    room.save("dags/a.py", "0");
    beside(&room, async |mut notes| {
        mirrored(&mut notes).await;
        for round in 1..=5 {
            let began = Instant::now();
            room.save("dags/a.py", &format!("{round}"));
            let (written, _) = mirrored(&mut notes).await;
            assert_eq!(written, ["dags/a.py"]);
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
        // A folder that comes with what is in it, and goes.
        room.save("dags/new/deep/b.py", "1");
        assert_eq!(mirrored(&mut notes).await.0, ["dags/new/deep/b.py"]);
        room.save("dags/new/deep/b.py", "2");
        assert_eq!(mirrored(&mut notes).await.0, ["dags/new/deep/b.py"]);
        fs::rename(room.path("dags/new"), room.path("elsewhere")).unwrap();
        assert_eq!(mirrored(&mut notes).await.1, ["dags/new/deep/b.py"]);
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_disappears_is_told_and_keeps_its_objects_until_it_is_back() {
    let room = room().await;
    room.save("dags/a.py", "1");
    beside(&room, async |mut notes| {
        mirrored(&mut notes).await;
        fs::rename(room.path("dags"), room.path("away")).unwrap();
        assert_eq!(notes.recv().await, Some(Note::FolderGone(room.path("dags"))));
        assert_eq!(room.bucket().await, pairs(&[("dags/a.py", "1")]));
        fs::rename(room.path("away"), room.path("dags")).unwrap();
        assert_eq!(notes.recv().await, Some(Note::FolderBack(room.path("dags"))));
        room.save("dags/a.py", "2");
        assert_eq!(mirrored(&mut notes).await.0, ["dags/a.py"]);
    })
    .await;
}
