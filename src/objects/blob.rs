//! Bytes on the disk: taken in under a temporary name, hashed on the way, then given a name of their own.
//!
//! A name is drawn at random and never used twice, so a file is never written again once it has its name, and
//! removing the last row that names it cannot meet somebody who is just storing the same bytes.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::task::spawn_blocking;

use super::checksum::{Algorithm, Checksum, Digests, Hashes};
use super::{DiskError, ObjectError};
use crate::config::Durability;
use crate::id::random_text;
use crate::limits::{BLOB_BATCH_BYTES, INLINE_MAX_BYTES};

/// Where blobs lie. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: Arc<Path>,
    durability: Durability,
}

/// The name of a blob: random, safe as a file name.
pub(super) type BlobName = String;

fn failed(verb: &'static str, path: &Path, source: io::Error) -> DiskError {
    DiskError { verb, path: path.to_owned(), source }
}

impl Folder {
    /// Makes the folder where it is missing and removes what an unfinished write left.
    pub(super) async fn open(root: &Path) -> Result<Folder, DiskError> {
        let folder = Folder { root: root.into(), durability: Durability::Process };
        for sub in [folder.arrivals(), folder.blobs()] {
            tokio::fs::create_dir_all(&sub).await.map_err(|e| failed("create", &sub, e))?;
        }
        Ok(folder)
    }

    /// The same folder, with files flushed to the disk before they are named, or not.
    pub(super) fn with_durability(self, durability: Durability) -> Folder {
        Folder { durability, ..self }
    }

    fn arrivals(&self) -> PathBuf {
        self.root.join("arriving")
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Two characters of the name are a folder, so that no folder grows without end.
    fn path(&self, name: &BlobName) -> PathBuf {
        self.blobs().join(&name[..2]).join(name)
    }

    /// Removes every file that no row names. Only while nobody writes.
    pub(super) async fn sweep(&self, named: HashSet<BlobName>) -> Result<usize, DiskError> {
        let folder = self.clone();
        spawn_blocking(move || {
            let mut swept = 0;
            for below in [folder.arrivals(), folder.blobs()] {
                for entry in walkdir::WalkDir::new(&below) {
                    let entry = entry.map_err(|error| {
                        let path = error.path().unwrap_or(&below).to_owned();
                        failed("look into", &path, error.into())
                    })?;
                    let known = entry.file_name().to_str().is_some_and(|name| named.contains(name));
                    if entry.file_type().is_file() && !known {
                        std::fs::remove_file(entry.path())
                            .map_err(|error| failed("remove", entry.path(), error))?;
                        swept += 1;
                    }
                }
            }
            Ok(swept)
        })
        .await
        .expect("sweeping reports failure, it does not panic")
    }

    /// Removes blobs that nothing names any more. A failure costs disk space until the next sweep, nothing else.
    pub(super) async fn remove(&self, names: Vec<BlobName>) {
        if names.is_empty() {
            return;
        }
        let folder = self.clone();
        let removal = spawn_blocking(move || {
            for name in names {
                let path = folder.path(&name);
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "an unnamed blob stays until the next start");
                }
            }
        });
        removal.await.expect("removing reports failure, it does not panic");
    }

    /// Gives an arrived file its name.
    pub(super) async fn place(&self, arrived: Arrived) -> Result<Placed, DiskError> {
        let folder = self.clone();
        spawn_blocking(move || {
            let name = random_text(32);
            let path = folder.path(&name);
            if folder.durability == Durability::Power {
                arrived.file.sync_all().map_err(|error| failed("flush", &arrived.path, error))?;
            }
            let parent = folder.blobs().join(&name[..2]);
            let parent = parent.as_path();
            std::fs::create_dir_all(parent).map_err(|error| failed("create", parent, error))?;
            std::fs::rename(&arrived.path, &path).map_err(|error| failed("name", &path, error))?;
            let placed = Placed { name, path, kept: false };
            if folder.durability == Durability::Power {
                let opened = File::open(parent).map_err(|error| failed("open", parent, error))?;
                opened.sync_all().map_err(|error| failed("flush", parent, error))?;
            }
            Ok(placed)
        })
        .await
        .expect("naming reports failure, it does not panic")
    }

    pub(super) async fn open_blob(&self, name: &BlobName) -> Result<File, DiskError> {
        let path = self.path(name);
        spawn_blocking(move || File::open(&path).map_err(|error| failed("open", &path, error)))
            .await
            .expect("opening reports failure, it does not panic")
    }
}

/// A file that has arrived whole and has no name yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Arrived {
    file: File,
    path: PathBuf,
}

impl Drop for Arrived {
    fn drop(&mut self) {
        // Once renamed there is nothing here to remove, and the sweep at the next start takes what stays.
        drop(std::fs::remove_file(&self.path));
    }
}

/// A blob with its name, that no row knows yet. Dropping it removes it, unless it was kept.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) name: BlobName,
    path: PathBuf,
    kept: bool,
}

impl Placed {
    /// Call where the row that names it is written.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.kept {
            // A failure costs disk space until the sweep at the next start.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

struct Sink {
    hashes: Hashes,
    size_bytes: u64,
    file: Option<Arrived>,
}

impl Sink {
    fn take(&mut self, folder: &Folder, chunks: &[Bytes]) -> Result<(), DiskError> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let path = folder.arrivals().join(random_text(32));
            let file = File::create_new(&path).map_err(|error| failed("create", &path, error))?;
            self.file.insert(Arrived { file, path })
        };
        for chunk in chunks {
            file.file.write_all(chunk).map_err(|error| failed("write", &file.path, error))?;
        }
        self.hash(chunks);
        Ok(())
    }

    fn hash(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            self.hashes.update(chunk);
            self.size_bytes += chunk.len() as u64;
        }
    }
}

/// A body on its way in. Small ones stay in memory; nothing is left behind when it is dropped.
pub struct Incoming {
    folder: Folder,
    /// Always there between calls; away with the blocking thread during one.
    sink: Option<Sink>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("waiting_bytes", &self.waiting_bytes)
            .finish_non_exhaustive()
    }
}

impl Incoming {
    pub(super) fn new(folder: Folder, algorithms: &[Algorithm]) -> Incoming {
        let sink = Sink { hashes: Hashes::new(algorithms), size_bytes: 0, file: None };
        Incoming { folder, sink: Some(sink), waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), DiskError> {
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes >= BLOB_BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), DiskError> {
        let chunks = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let folder = self.folder.clone();
        let mut sink = self.sink.take().expect("a failed write is not followed by another");
        let sink = spawn_blocking(move || sink.take(&folder, &chunks).map(|()| sink))
            .await
            .expect("writing reports failure, it does not panic")?;
        self.sink = Some(sink);
        Ok(())
    }

    /// There is no more.
    pub async fn finish(mut self) -> Result<Received, DiskError> {
        let in_memory = self.sink.as_ref().is_some_and(|sink| sink.file.is_none());
        if in_memory && self.waiting_bytes <= INLINE_MAX_BYTES {
            let mut sink = self.sink.take().expect("a failed write is not followed by another");
            sink.hash(&self.waiting);
            let bytes = joined(self.waiting);
            return Ok(Received::new(
                sink.size_bytes,
                sink.hashes.finish(),
                Content::Memory(bytes),
            ));
        }
        self.flush().await?;
        let sink = self.sink.take().expect("a failed write is not followed by another");
        let file = sink.file.expect("a flush makes the file");
        Ok(Received::new(sink.size_bytes, sink.hashes.finish(), Content::File(file)))
    }
}

fn joined(mut chunks: Vec<Bytes>) -> Bytes {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in chunks {
        whole.extend_from_slice(&chunk);
    }
    whole.freeze()
}

#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    File(Arrived),
}

/// A body that has come in whole, and its digests. It is nobody's yet.
#[derive(Debug)]
pub struct Received {
    pub(super) size_bytes: u64,
    pub(super) digests: Digests,
    pub(super) content: Content,
}

/// What the sender said its bytes would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    pub size_bytes: Option<u64>,
    pub md5: Option<[u8; 16]>,
    /// An algorithm and the digest in base64.
    pub checksum: Option<(Algorithm, String)>,
}

/// Bytes that are not those that were announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    #[error("{declared} bytes were announced and {received} came")]
    Size { declared: u64, received: u64 },
    #[error("the MD5 of what came is {received}, but {declared} was declared")]
    Md5 { declared: String, received: String },
    #[error("the {} of what came is {received}, but {declared} was declared", algorithm.name())]
    Checksum { algorithm: Algorithm, declared: String, received: String },
}

impl Received {
    fn new(size_bytes: u64, digests: Digests, content: Content) -> Received {
        Received { size_bytes, digests, content }
    }

    /// The bytes of the body.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The `ETag` of a body that is one piece: its MD5 in hexadecimal.
    pub fn etag(&self) -> String {
        hex::encode(self.digests.md5)
    }

    pub(super) fn digest(&self, algorithm: Algorithm) -> Option<&[u8]> {
        let found = self.digests.others.iter().find(|(of, _)| *of == algorithm);
        found.map(|(_, digest)| digest.as_slice())
    }

    pub(super) fn checksum(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.digest(algorithm).map(|digest| Checksum::whole(algorithm, digest))
    }

    /// Compares what came with what was declared. A checksum that was not asked for on the way in is not compared.
    pub(super) fn check(&self, declared: &Declared) -> Result<(), Damaged> {
        if let Some(declared) = declared.size_bytes
            && declared != self.size_bytes
        {
            return Err(Damaged::Size { declared, received: self.size_bytes });
        }
        if let Some(md5) = declared.md5
            && md5 != self.digests.md5
        {
            return Err(Damaged::Md5 {
                declared: STANDARD.encode(md5),
                received: STANDARD.encode(self.digests.md5),
            });
        }
        if let Some((algorithm, declared)) = &declared.checksum
            && let Some(digest) = self.digest(*algorithm)
            && STANDARD.encode(digest) != *declared
        {
            let received = STANDARD.encode(digest);
            let declared = declared.clone();
            return Err(Damaged::Checksum { algorithm: *algorithm, declared, received });
        }
        Ok(())
    }
}

/// A stretch of an object's bytes: a range of one blob, or bytes that are already here.
#[derive(Clone, Debug)]
pub(super) enum Stretch {
    Memory(Bytes),
    Blob { name: BlobName, range: Range<u64> },
}

/// The bytes of a version, or of a range of it, ready to be read.
#[derive(Debug)]
pub struct Reading {
    folder: Folder,
    /// What comes next is last.
    stretches: Vec<Stretch>,
    open: Option<(Arc<File>, Range<u64>)>,
}

impl Reading {
    /// Opens the first file, so that bytes which are gone are known before anything is answered.
    pub(super) async fn open(
        folder: Folder,
        mut stretches: Vec<Stretch>,
    ) -> Result<Reading, DiskError> {
        stretches.reverse();
        let mut reading = Reading { folder, stretches, open: None };
        reading.open_next().await?;
        Ok(reading)
    }

    /// The bytes, where they are in memory already: they need no stream.
    pub fn in_memory(&self) -> Option<Bytes> {
        match (self.stretches.as_slice(), &self.open) {
            ([], None) => Some(Bytes::new()),
            ([Stretch::Memory(bytes)], None) => Some(bytes.clone()),
            _ => None,
        }
    }

    async fn open_next(&mut self) -> Result<(), DiskError> {
        if let Some(Stretch::Blob { .. }) = self.stretches.last()
            && let Some(Stretch::Blob { name, range }) = self.stretches.pop()
        {
            let file = self.folder.open_blob(&name).await?;
            self.open = Some((Arc::new(file), range));
        }
        Ok(())
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        loop {
            if let Some((file, range)) = &mut self.open {
                if range.is_empty() {
                    self.open = None;
                    continue;
                }
                let upto = range.end.min(range.start + BLOB_BATCH_BYTES as u64);
                let (file, part) = (Arc::clone(file), range.start..upto);
                range.start = upto;
                return Ok(Some(read_at(file, part, &self.folder.root).await?));
            }
            match self.stretches.last() {
                None => return Ok(None),
                Some(Stretch::Blob { .. }) => self.open_next().await?,
                Some(Stretch::Memory(_)) => {
                    if let Some(Stretch::Memory(bytes)) = self.stretches.pop()
                        && !bytes.is_empty()
                    {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// All that is left, in memory.
    pub async fn all(mut self) -> Result<Bytes, ObjectError> {
        let mut chunks = Vec::new();
        while let Some(chunk) = self.next().await? {
            chunks.push(chunk);
        }
        Ok(joined(chunks))
    }

    /// What is left, as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ObjectError>> + Send {
        futures::stream::try_unfold(self, |mut reading| async move {
            Ok(reading.next().await?.map(|chunk| (chunk, reading)))
        })
    }
}

async fn read_at(file: Arc<File>, range: Range<u64>, root: &Path) -> Result<Bytes, DiskError> {
    let size = usize::try_from(range.end - range.start).expect("a batch fits in memory");
    spawn_blocking(move || {
        let mut buffer = vec![0; size];
        file.read_exact_at(&mut buffer, range.start).map(|()| Bytes::from(buffer))
    })
    .await
    .expect("reading reports failure, it does not panic")
    .map_err(|error| failed("read a blob in", root, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_is_dropped_half_way_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).await.unwrap();
        let mut incoming = Incoming::new(folder.clone(), &[]);
        incoming.write(Bytes::from(vec![7; BLOB_BATCH_BYTES])).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.arrivals()).unwrap().count(), 1);
        drop(incoming);
        assert_eq!(std::fs::read_dir(folder.arrivals()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_sweep_takes_what_no_row_names_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).await.unwrap();
        let mut names = Vec::new();
        for _ in 0..2 {
            let mut incoming = Incoming::new(folder.clone(), &[]);
            incoming.write(Bytes::from(vec![7; INLINE_MAX_BYTES + 1])).await.unwrap();
            let Content::File(arrived) = incoming.finish().await.unwrap().content else {
                panic!("it is too large for memory");
            };
            let placed = folder.place(arrived).await.unwrap();
            names.push(placed.name.clone());
            placed.keep();
        }
        let kept = names.pop().unwrap();
        assert_eq!(folder.sweep(HashSet::from([kept.clone()])).await.unwrap(), 1);
        folder.open_blob(&kept).await.unwrap();
        folder.open_blob(&names[0]).await.unwrap_err();
    }

    #[tokio::test]
    async fn bytes_other_than_those_declared_are_found_out() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).await.unwrap();
        let mut incoming = Incoming::new(folder, &[Algorithm::Crc32]);
        incoming.write(Bytes::from_static(b"hel")).await.unwrap();
        incoming.write(Bytes::from_static(b"lo")).await.unwrap();
        let received = incoming.finish().await.unwrap();
        assert_eq!(received.etag(), "5d41402abc4b2a76b9719d911017c592");
        let crc32 = |value: &str| Declared {
            checksum: Some((Algorithm::Crc32, value.to_owned())),
            ..Declared::default()
        };
        assert_eq!(received.check(&crc32("NhCmhg==")), Ok(()));
        received.check(&crc32("AAAAAA==")).unwrap_err();
        received.check(&Declared { size_bytes: Some(4), ..Declared::default() }).unwrap_err();
    }
}
