use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;

struct Place {
    folder: TempDir,
    objects: Objects,
    db: Db,
}

fn bucket() -> BucketName {
    BucketName::parse("things").unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (objects, db) = open(folder.path()).await;
    let region = Region::parse("eu-west-1").unwrap();
    objects.create_bucket(&bucket(), &region, "me").await.unwrap();
    Place { folder, objects, db }
}

async fn open(folder: &Path) -> (Objects, Db) {
    let clock = Clock::held(Timestamp::from_millis(1_700_000_000_000));
    let db = Db::open(&folder.join("db"), Durability::Process, &[SCHEMA], clock.clone()).unwrap();
    (Objects::open(&folder.join("objects"), db.clone(), clock).await.unwrap(), db)
}

impl Place {
    async fn put(&self, name: &str, bytes: &[u8]) -> Version {
        let bytes = Bytes::copy_from_slice(bytes);
        self.objects.put_bytes(&bucket(), &key(name), bytes, Metadata::default()).await.unwrap()
    }

    async fn read(&self, version: &Version) -> Bytes {
        self.objects.read_all(version).await.unwrap()
    }

    async fn received(&self, bytes: Vec<u8>) -> Received {
        let mut incoming = self.objects.receive(None);
        incoming.write(bytes.into()).await.unwrap();
        incoming.finish().await.unwrap()
    }

    fn blobs(&self) -> usize {
        let files = walkdir::WalkDir::new(self.folder.path().join("objects"));
        files.into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count()
    }

    async fn keys(&self, query: Query) -> (Vec<String>, bool) {
        let page = self.objects.list(&bucket(), query).await.unwrap();
        (page.entries.iter().map(shown).collect(), page.more)
    }
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Version(version) => version.key.to_string(),
        Entry::Group(prefix) => format!("{prefix}*"),
    }
}

fn query(prefix: &str, delimiter: Option<&str>, after: After, limit: usize) -> Query {
    let delimiter = delimiter.map(str::to_owned);
    Query { shown: Shown::Objects, prefix: prefix.to_owned(), delimiter, after, limit }
}

#[tokio::test]
async fn what_was_put_is_read_again_small_and_large_and_in_ranges() {
    let place = place().await;
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    for bytes in [&b""[..], b"small", &large] {
        let version = place.put("it", bytes).await;
        assert_eq!(place.read(&version).await, bytes);
    }
    let version = place.objects.version(&bucket(), &key("it"), None).await.unwrap();
    let reading = place.objects.read(&version, 100..2_000_000).await.unwrap();
    assert_eq!(reading.all().await.unwrap(), large[100..2_000_000]);
    assert_eq!(place.blobs(), 1, "only the last version of a bucket without versions is kept");
}

#[tokio::test]
async fn a_store_opened_again_has_its_objects_and_none_of_its_litter() {
    let place = place().await;
    let version = place.put("large", &vec![1; 100_000]).await;
    std::fs::write(place.folder.path().join("objects/arriving/litter"), "x").unwrap();
    let (again, _) = open(place.folder.path()).await;
    assert_eq!(again.read_all(&version).await.unwrap().len(), 100_000);
    assert_eq!(place.blobs(), 1);
}

#[tokio::test]
async fn a_key_that_is_no_path_is_only_a_name() {
    let place = place().await;
    for name in ["../../etc/passwd", "a", "a/", "a/b", "//x", ".", "\u{0}\n", "ключ😀"] {
        let version = place.put(name, name.as_bytes()).await;
        assert_eq!(place.read(&version).await, name.as_bytes());
    }
}

#[tokio::test]
async fn of_two_racing_puts_on_condition_one_wins() {
    let place = place().await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut put = Put::plain(bucket(), key("once"), Metadata::default());
        put.precondition = Some(Precondition::Absent);
        waiting.push(place.objects.put(put, place.received(vec![1; 40_000]).await));
    }
    let done = futures::future::join_all(waiting).await;
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(place.blobs(), 1, "the loser's bytes are gone");
}

#[tokio::test]
async fn deleting_the_top_version_shows_the_one_below_and_says_so() {
    let place = place().await;
    place.objects.set_versioning(&bucket(), Versioning::Enabled).await.unwrap();
    let first = place.put("it", b"first").await;
    place.put("it", b"second").await;
    place.objects.delete(&bucket(), &key("it")).await.unwrap();
    let marker = place.objects.find(&bucket(), &key("it"), None).await.unwrap();
    assert!(marker.is_delete_marker);
    let second = place
        .objects
        .list(&bucket(), Query { shown: Shown::Versions, ..query("", None, After::Start, 10) })
        .await
        .unwrap();
    let Entry::Version(second) = &second.entries[1] else { panic!("no delimiter, no groups") };
    for version in [&marker, second.as_ref()] {
        let deletion = Deletion { version: Some(version.id.clone()), ..Deletion::of(key("it")) };
        place.objects.delete_many(&bucket(), "", vec![deletion]).await.unwrap();
    }
    let now = place.objects.version(&bucket(), &key("it"), None).await.unwrap();
    assert_eq!((now.id.clone(), now.is_latest), (first.id.clone(), true));
    let events = place.db.events_after(0, 100).await.unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!(*last, Event::ObjectWritten { bucket: bucket(), key: key("it"), version: first.id });
}

#[tokio::test]
async fn a_copy_shares_its_bytes_and_outlives_its_source() {
    let place = place().await;
    let source = place.put("source", &vec![9; 100_000]).await;
    let put = Put::plain(bucket(), key("copy"), Metadata::default());
    let copy = place.objects.copy(&source, put, None).await.unwrap();
    assert_eq!(place.blobs(), 1);
    place.objects.delete(&bucket(), &key("source")).await.unwrap();
    assert_eq!(place.read(&copy).await.len(), 100_000);
    assert_eq!(copy.etag, source.etag);
    place.objects.delete(&bucket(), &key("copy")).await.unwrap();
    assert_eq!(place.blobs(), 0);
}

#[tokio::test]
async fn parts_become_an_object_and_asking_again_answers_the_same() {
    let place = place().await;
    let new = NewUpload {
        bucket: bucket(),
        key: key("big"),
        metadata: Metadata::default(),
        owner: "me".to_owned(),
        checksum: None,
    };
    let upload = place.objects.create_upload(new).await.unwrap();
    let parts = [vec![1u8; 5 << 20], vec![2u8; 5 << 20], b"end".to_vec()];
    let mut stated = Vec::new();
    for (index, bytes) in parts.iter().enumerate() {
        let number = u16::try_from(index * 3 + 1).unwrap();
        let received = place.received(bytes.clone()).await;
        let part = place
            .objects
            .put_part((&bucket(), &upload, number), Declared::default(), received)
            .await
            .unwrap();
        stated.push(Stated { number, etag: Some(part.etag()), checksum: None });
    }
    let complete = Complete {
        bucket: bucket(),
        key: key("big"),
        upload: upload.id.clone(),
        parts: stated,
        precondition: None,
        size_bytes: Some((10 << 20) + 3),
        checksum: None,
    };
    let mut twice = complete.clone();
    twice.parts.swap(0, 1);
    assert!(matches!(place.objects.complete_upload(twice).await, Err(CompleteError::PartOrder)));
    let completed = place.objects.complete_upload(complete.clone()).await.unwrap();
    assert!(completed.etag.ends_with("-3"), "{}", completed.etag);
    assert_eq!(place.objects.complete_upload(complete).await.unwrap(), completed);
    let whole: Vec<u8> = parts.concat();
    let version = place.objects.version(&bucket(), &key("big"), None).await.unwrap();
    assert_eq!(place.read(&version).await, whole);
    let expected = Checksum::whole(Algorithm::Crc64Nvme, &Algorithm::Crc64Nvme.digest(&whole));
    assert_eq!(version.checksum, Some(expected));
    let across = (5 << 20) - 10..(10 << 20) + 2;
    let reading = place.objects.read(&version, across.clone()).await.unwrap();
    let across = usize::try_from(across.start).unwrap()..usize::try_from(across.end).unwrap();
    assert_eq!(reading.all().await.unwrap(), whole[across]);
    let put = Put::plain(bucket(), key("copy"), Metadata::default());
    let copy = place.objects.copy(&version, put, None).await.unwrap();
    assert!(!copy.etag.contains('-'), "a copy has the ETag of one piece");
    assert!(place.objects.abort_upload(&bucket(), &key("big"), &upload.id).await.is_err());
}

#[tokio::test]
async fn a_part_sent_again_replaces_the_first_and_an_abort_leaves_nothing() {
    let place = place().await;
    let new = NewUpload {
        bucket: bucket(),
        key: key("big"),
        metadata: Metadata::default(),
        owner: String::new(),
        checksum: None,
    };
    let upload = place.objects.create_upload(new).await.unwrap();
    for byte in 0..2 {
        let received = place.received(vec![byte; 50_000]).await;
        place
            .objects
            .put_part((&bucket(), &upload, 1), Declared::default(), received)
            .await
            .unwrap();
    }
    assert_eq!((place.blobs(), place.objects.parts(&upload).await.unwrap().len()), (1, 1));
    place.objects.abort_upload(&bucket(), &key("big"), &upload.id).await.unwrap();
    assert_eq!(place.blobs(), 0);
}

#[tokio::test]
async fn a_bucket_with_a_delete_marker_is_not_empty() {
    let place = place().await;
    place.objects.ensure_versioned_bucket(&bucket()).await.unwrap();
    place.objects.delete(&bucket(), &key("never-there")).await.unwrap();
    let error = place.objects.delete_bucket(&bucket()).await.unwrap_err();
    assert!(matches!(error, BucketError::NotEmpty(_)));
}

// ---- properties

/// What may be done to a key of a bucket.
#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    Delete(u8),
    /// Deletes the version at this place of the key's stack, counted from the top.
    DeleteVersion(u8, usize),
    Versioning(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3u8).prop_map(Act::Put),
        2 => (0..3u8).prop_map(Act::Delete),
        2 => (0..3u8, 0..3usize).prop_map(|(key, at)| Act::DeleteVersion(key, at)),
        1 => any::<bool>().prop_map(Act::Versioning),
    ]
}

/// S3's rules, as said in the user guide: per key a stack of (id, is a marker), the newest last.
#[derive(Default)]
struct Model {
    versioning: Option<bool>,
    stacks: BTreeMap<String, Vec<(String, bool)>>,
}

impl Model {
    fn push(&mut self, key: &str, id: &VersionId, marker: bool) {
        let stack = self.stacks.entry(key.to_owned()).or_default();
        if self.versioning != Some(true) {
            assert_eq!(id.as_str(), "null");
            stack.retain(|(id, _)| id != "null");
        }
        stack.push((id.to_string(), marker));
    }
}

async fn perform(place: &Place, model: &mut Model, act: Act) {
    let name = |n: u8| format!("key-{n}");
    match act {
        Act::Put(n) => {
            let version = place.put(&name(n), &[n]).await;
            model.push(&name(n), &version.id, false);
        }
        Act::Delete(n) => {
            let deletions = vec![Deletion::of(key(&name(n)))];
            let done = place.objects.delete_many(&bucket(), "", deletions).await.unwrap();
            match &done[0].as_ref().unwrap().version {
                None => drop(model.stacks.remove(&name(n))),
                Some(marker) => model.push(&name(n), marker, true),
            }
        }
        Act::DeleteVersion(n, at) => {
            let Some(stack) = model.stacks.get_mut(&name(n)) else { return };
            if at >= stack.len() {
                return;
            }
            let (id, marker) = stack.remove(stack.len() - 1 - at);
            let version = Some(VersionId::parse(id).unwrap());
            let deletion = Deletion { version, ..Deletion::of(key(&name(n))) };
            let done = place.objects.delete_many(&bucket(), "", vec![deletion]).await.unwrap();
            assert_eq!(done[0].as_ref().unwrap().is_marker, marker);
        }
        Act::Versioning(on) => {
            let wanted = if on { Versioning::Enabled } else { Versioning::Suspended };
            place.objects.set_versioning(&bucket(), wanted).await.unwrap();
            model.versioning = Some(on);
        }
    }
}

async fn versions_match(acts: Vec<Act>) {
    let place = place().await;
    let mut model = Model::default();
    for act in acts {
        perform(&place, &mut model, act).await;
        let query = Query { shown: Shown::Versions, ..query("", None, After::Start, 1000) };
        let page = place.objects.list(&bucket(), query).await.unwrap();
        let mut seen = Vec::new();
        for entry in &page.entries {
            let Entry::Version(version) = entry else { panic!("no delimiter, no groups") };
            let id = version.id.to_string();
            seen.push((version.key.to_string(), id, version.is_delete_marker, version.is_latest));
        }
        let mut expected = Vec::new();
        for (key, stack) in &model.stacks {
            for (depth, (id, marker)) in stack.iter().rev().enumerate() {
                expected.push((key.clone(), id.clone(), *marker, depth == 0));
            }
        }
        assert_eq!(seen, expected);
    }
}

/// All pages of a listing, each continued after the last entry of the one before.
async fn pages(place: &Place, first: Query) -> Vec<String> {
    let mut all = Vec::new();
    let mut query = first;
    loop {
        let (entries, more) = place.keys(query.clone()).await;
        assert_eq!(entries.len().min(query.limit), entries.len());
        let last = entries.last().cloned();
        all.extend(entries);
        match last {
            Some(last) if more => {
                query.after = After::Key(last.trim_end_matches('*').to_owned());
            }
            _ => return all,
        }
    }
}

/// The listing as one would write it without an index.
fn listed(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let line = match delimiter.and_then(|delimiter| Some((rest.find(delimiter)?, delimiter))) {
            Some((at, delimiter)) => format!("{prefix}{}*", &rest[..at + delimiter.len()]),
            None => key.clone(),
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn versions_follow_the_rules(acts in prop::collection::vec(act(), 1..25)) {
        wait(versions_match(acts));
    }

    #[test]
    fn a_listing_is_the_same_however_it_is_paged(
        keys in prop::collection::btree_set("[ab/é]{1,6}", 0..25),
        prefix in "[ab/]{0,2}",
        delimiter in prop::option::of(prop::sample::select(vec!["/", "a", "b/"])),
        limit in 1..5usize,
    ) {
        let expected = listed(&keys, &prefix, delimiter);
        let seen = wait(async {
            let place = place().await;
            for name in &keys {
                place.put(name, b"").await;
            }
            pages(&place, query(&prefix, delimiter, After::Start, limit)).await
        });
        prop_assert_eq!(seen, expected);
    }
}

// ---- lifecycle

#[tokio::test]
async fn rules_end_what_is_old_enough() {
    let place = place().await;
    let objects = &place.objects;
    objects.set_versioning(&bucket(), Versioning::Enabled).await.unwrap();
    place.put("logs/a", b"x").await;
    let old = place.put("logs/a", b"y").await;
    place.put("logs/other", b"x").await;
    place.put("kept", b"x").await;
    let rule = Rule {
        prefix: "logs/".to_owned(),
        expiry: Some(Expiry::Days(1)),
        noncurrent: Some(Noncurrent { days: 2, keep: 0 }),
        ..Rule::default()
    };
    objects.set_rules(&bucket(), ("lifecycle", None), vec![rule]).await.unwrap();
    assert_eq!(objects.expire().await.unwrap(), 0, "nothing is old enough yet");
    let days = |count: u64| std::time::Duration::from_secs(count * 24 * 60 * 60);
    objects.clock.advance(days(2));
    // Two markers; the first version of `a` was replaced long enough ago for the midnight after next only.
    assert_eq!(objects.expire().await.unwrap(), 2);
    let current = objects.find(&bucket(), &key("logs/a"), None).await.unwrap();
    assert!(current.is_delete_marker);
    assert!(objects.find(&bucket(), &key("logs/a"), Some(&old.id)).await.is_ok());
    objects.clock.advance(days(3));
    // What the markers hid is gone: two versions of `a` and the one of `other`.
    assert_eq!(objects.expire().await.unwrap(), 3);
    // Lone markers go when they are as old as objects may become.
    assert_eq!(objects.expire().await.unwrap(), 2);
    assert_eq!(objects.expire().await.unwrap(), 0);
    let left = objects.current_below(&bucket(), "").await.unwrap();
    assert_eq!(left.len(), 1);
}
