//! Pages of a bucket's uploads under way: by key, then in the order in which they began, rolled up at a delimiter.

use super::listing::{behind, group, next_key};
use super::store::{self, Step};
use super::upload_store::{self, Upload};
use super::{Objects, UploadError};
use crate::id::{BucketName, ObjectKey};

/// Where a listing of uploads goes on: strictly after this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AfterUpload {
    #[default]
    Start,
    /// After all uploads of a key, or after the group of that prefix.
    Key(String),
    /// After one upload of a key. One that is not there (any more) counts as its key's last.
    Upload(ObjectKey, String),
}

/// Which page of the listing.
#[derive(Clone, Debug, Default)]
pub struct UploadQuery {
    /// Empty shows everything.
    pub prefix: String,
    /// Not empty.
    pub delimiter: Option<String>,
    pub after: AfterUpload,
    /// Entries on the page at most.
    pub limit: usize,
}

/// One line of the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadEntry {
    Upload(Box<Upload>),
    /// All keys that begin so: the text up to and with the first delimiter after the prefix.
    Group(String),
}

/// A page of the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    pub entries: Vec<UploadEntry>,
    /// There is at least one more entry behind these.
    pub more: bool,
}

impl UploadQuery {
    /// The first key to look at, and the number above which uploads of that very key are wanted.
    fn first(&self, marked: Option<i64>) -> (Vec<u8>, i64) {
        let (key, above) = match (&self.after, marked) {
            (AfterUpload::Start, _) => (Vec::new(), 0),
            (AfterUpload::Upload(key, _), Some(number)) => (key.as_str().into(), number),
            (AfterUpload::Upload(key, _), None) => (next_key(key.as_str()), 0),
            (AfterUpload::Key(after), _) => {
                let shown = group(after, &self.prefix, self.delimiter.as_deref());
                (shown.map_or_else(|| next_key(after), |group| behind(&group)), 0)
            }
        };
        let prefix = self.prefix.as_bytes();
        if key.as_slice() < prefix { (prefix.to_vec(), 0) } else { (key, above) }
    }
}

impl Objects {
    /// One page of the uploads that are under way.
    pub async fn uploads(
        &self,
        bucket: &BucketName,
        query: UploadQuery,
    ) -> Result<UploadPage, UploadError> {
        let bucket = bucket.clone();
        self.db
            .read(move |connection| {
                let Some(row) = store::bucket(connection, &bucket)? else {
                    return Err(UploadError::NoSuchBucket(bucket));
                };
                let marked = match &query.after {
                    AfterUpload::Upload(key, id) => {
                        upload_store::upload(connection, row.id, key, id)?
                    }
                    AfterUpload::Start | AfterUpload::Key(_) => None,
                };
                Ok(page(connection, row.id, &query, marked.map(|upload| upload.number))?)
            })
            .await
    }
}

fn page(
    connection: &rusqlite::Connection,
    bucket: i64,
    query: &UploadQuery,
    marked: Option<i64>,
) -> rusqlite::Result<UploadPage> {
    let mut page = UploadPage::default();
    let (mut from, end) = (query.first(marked), behind(&query.prefix));
    loop {
        let step = upload_store::scan(connection, bucket, (&from, &end), |upload| {
            if page.entries.len() >= query.limit {
                page.more = query.limit > 0;
                return Step::Stop;
            }
            match group(upload.key.as_str(), &query.prefix, query.delimiter.as_deref()) {
                None => {
                    page.entries.push(UploadEntry::Upload(Box::new(upload)));
                    Step::Next
                }
                Some(group) => {
                    let seek = behind(&group);
                    page.entries.push(UploadEntry::Group(group));
                    Step::Seek(seek)
                }
            }
        })?;
        match step {
            Step::Seek(to) => from = (to, 0),
            Step::Next | Step::Stop => return Ok(page),
        }
    }
}
