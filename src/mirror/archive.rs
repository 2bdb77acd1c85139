//! A folder of plugins as plugins.zip: the same folder gives the same bytes, so that it makes no new version.

use std::fs;
use std::io::{self, Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::scan::{Digest, files_below};

/// One file: its name in the archive, and whether it may be executed.
struct Member {
    path: PathBuf,
    name: String,
    executable: bool,
}

/// What `folder` holds, without zipping it; `None` when there is no file in it. `digest_of` may remember.
pub(super) fn digest(
    folder: &Path,
    mut digest_of: impl FnMut(&Path) -> io::Result<Digest>,
) -> io::Result<Option<Digest>> {
    let mut whole = Listing::default();
    for member in members(folder)? {
        let digest = digest_of(&member.path)?;
        whole.add(&member, digest);
    }
    Ok(whole.finish())
}

/// The archive of `folder`, and the [`digest`] of what went into it.
pub(super) fn pack(folder: &Path) -> io::Result<(Vec<u8>, Digest)> {
    let mut whole = Listing::default();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for member in members(folder)? {
        let bytes = fs::read(&member.path)?;
        whole.add(&member, Digest::of(&bytes));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(if member.executable { 0o755 } else { 0o644 });
        zip.start_file(member.name, options).map_err(io::Error::other)?;
        zip.write_all(&bytes)?;
    }
    let bytes = zip.finish().map_err(io::Error::other)?.into_inner();
    let digest = whole.finish().unwrap_or_else(|| Digest::of(b""));
    Ok((bytes, digest))
}

fn members(folder: &Path) -> io::Result<Vec<Member>> {
    let mut members = Vec::new();
    for entry in files_below(folder) {
        let entry = entry.map_err(io::Error::other)?;
        let below = entry.path().strip_prefix(folder).map_err(io::Error::other)?;
        let name = below.to_str().ok_or_else(|| {
            io::Error::other(format!("the name of {} is not UTF-8", entry.path().display()))
        })?;
        let mode = entry.metadata().map_err(io::Error::other)?.permissions().mode();
        members.push(Member {
            name: name.to_owned(),
            executable: mode & 0o111 != 0,
            path: entry.into_path(),
        });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

/// A digest over names, modes and contents.
#[derive(Default)]
struct Listing {
    hash: Sha256,
    any: bool,
}

impl Listing {
    fn add(&mut self, member: &Member, content: Digest) {
        self.any = true;
        self.hash.update(member.name.as_bytes());
        self.hash.update([0, u8::from(member.executable)]);
        self.hash.update(content.0);
    }

    fn finish(self) -> Option<Digest> {
        self.any.then(|| Digest(self.hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_folder_gives_the_same_bytes_whenever_it_was_written() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, names) in [(&one, ["b.py", "a/c.py"]), (&two, ["a/c.py", "b.py"])] {
            fs::create_dir(folder.path().join("a")).unwrap();
            for name in names {
                fs::write(folder.path().join(name), name).unwrap();
            }
        }
        let (first, digest) = pack(one.path()).unwrap();
        assert_eq!(pack(two.path()).unwrap(), (first.clone(), digest));
        let looked = super::digest(one.path(), |path| Ok(Digest::of(&fs::read(path)?))).unwrap();
        assert_eq!(looked, Some(digest));
        let mut zip = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        let mut text = String::new();
        zip.by_name("a/c.py").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a/c.py");
    }
}
