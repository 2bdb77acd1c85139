//! Pages of a bucket's keys or versions, in key order, rolled up at a delimiter.
//!
//! A page costs what it shows: below a rolled-up prefix the scan seeks past the group and does not walk through it.

use super::store::{self, Along, Only, Step};
use super::{ObjectError, Objects, Version};
use crate::id::{BucketName, ObjectKey, VersionId};

/// What a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Current objects.
    Objects,
    /// Every version and delete marker: of a key, the newest first.
    Versions,
}

/// Where a listing goes on: strictly after this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum After {
    #[default]
    Start,
    /// After a key and all its versions, or after the group of that prefix.
    Key(String),
    /// After one version of a key. One that is not there (any more) counts as its key's last.
    Version(ObjectKey, VersionId),
}

/// Which page of which listing.
#[derive(Clone, Debug)]
pub struct Query {
    pub shown: Shown,
    /// Empty shows everything.
    pub prefix: String,
    /// Not empty.
    pub delimiter: Option<String>,
    pub after: After,
    /// Entries on the page at most.
    pub limit: usize,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Version(Box<Version>),
    /// All keys that begin so: the text up to and with the first delimiter after the prefix.
    Group(String),
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// There is at least one more entry behind these.
    pub more: bool,
}

/// The first byte string behind all that begin with `prefix`. No key contains the byte 255.
pub(super) fn behind(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) => *last += 1,
        None => bytes.push(u8::MAX),
    }
    bytes
}

/// The group that `key` is shown in, if it is rolled up.
pub(super) fn group(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter?;
    let rest = key.strip_prefix(prefix)?;
    let at = rest.find(delimiter)?;
    Some(key[..prefix.len() + at + delimiter.len()].to_owned())
}

impl Query {
    /// The first key to look at, and the sequence below which versions of that very key are wanted.
    fn first(&self, sequence: Option<i64>) -> (Vec<u8>, i64) {
        let (key, below) = match &self.after {
            After::Start => (self.prefix.clone().into_bytes(), i64::MAX),
            After::Key(after) => {
                let delimiter = self.delimiter.as_deref();
                let whole = group(after, &self.prefix, delimiter).filter(|group| group == after);
                let key = whole.map_or_else(|| next_key(after), |group| behind(&group));
                (key, i64::MAX)
            }
            After::Version(key, _) => match sequence {
                Some(sequence) => (key.as_str().as_bytes().to_vec(), sequence),
                None => (next_key(key.as_str()), i64::MAX),
            },
        };
        let prefix = self.prefix.as_bytes();
        if key.as_slice() < prefix { (prefix.to_vec(), i64::MAX) } else { (key, below) }
    }
}

/// The smallest byte string greater than `key`.
pub(super) fn next_key(key: &str) -> Vec<u8> {
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

impl Objects {
    /// One page of a listing.
    pub async fn list(&self, bucket: &BucketName, query: Query) -> Result<Page, ObjectError> {
        let bucket = bucket.clone();
        self.db
            .read(move |connection| {
                let Some(row) = store::bucket(connection, &bucket)? else {
                    return Err(ObjectError::NoSuchBucket(bucket));
                };
                let sequence = match &query.after {
                    After::Version(key, id) => {
                        store::by_id(connection, &row, key, id)?.map(|version| version.sequence)
                    }
                    After::Start | After::Key(_) => None,
                };
                Ok(page(connection, &row, &query, sequence)?)
            })
            .await
    }

    /// The current versions of all keys below `prefix`, in key order. For folders of a project, not for large buckets.
    pub async fn current_below(
        &self,
        bucket: &BucketName,
        prefix: &str,
    ) -> Result<Vec<Version>, ObjectError> {
        let query = Query {
            shown: Shown::Objects,
            prefix: prefix.to_owned(),
            delimiter: None,
            after: After::Start,
            limit: usize::MAX,
        };
        let page = self.list(bucket, query).await?;
        let versions = page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Version(version) => Some(*version),
            Entry::Group(_) => None,
        });
        Ok(versions.collect())
    }
}

fn page(
    connection: &rusqlite::Connection,
    bucket: &store::BucketRow,
    query: &Query,
    sequence: Option<i64>,
) -> rusqlite::Result<Page> {
    let mut page = Page::default();
    let only = match query.shown {
        Shown::Objects => Only::Objects,
        Shown::Versions => Only::Everything,
    };
    let (from, end) = (query.first(sequence), behind(&query.prefix));
    let mut along = Along { bucket, only, from, end };
    loop {
        let step = store::scan(connection, &along, |version| {
            if page.entries.len() >= query.limit {
                page.more = query.limit > 0;
                return Step::Stop;
            }
            match group(version.key.as_str(), &query.prefix, query.delimiter.as_deref()) {
                None => {
                    page.entries.push(Entry::Version(Box::new(version)));
                    Step::Next
                }
                Some(group) => {
                    let seek = behind(&group);
                    page.entries.push(Entry::Group(group));
                    Step::Seek(seek)
                }
            }
        })?;
        match step {
            Step::Seek(to) => along.from = (to, i64::MAX),
            Step::Next | Step::Stop => return Ok(page),
        }
    }
}
