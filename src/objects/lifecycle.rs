//! Lifecycle rules: what becomes old enough is removed.
//!
//! S3 counts in whole days and acts at midnight UTC, so the next moment at which anything can be due is the next
//! midnight. That is when the task here wakes, and only while there are rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::lock::DAY_MS;
use super::{
    After, AfterUpload, DeleteCondition, DeleteError, Deletion, Entry, ObjectError, Objects, Query,
    Shown, UploadEntry, UploadError, UploadQuery, Version, store,
};
use crate::clock::Timestamp;
use crate::id::BucketName;
use crate::limits::{DELETE_OBJECTS_MAX, LIST_PAGE_MAX};

/// When current objects end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// So many days after they were written.
    Days(u32),
    /// From this moment on, in milliseconds since the Unix epoch.
    At(i64),
}

/// When versions that are no longer current end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noncurrent {
    /// So many days after they were replaced.
    pub days: u32,
    /// So many of the newest of them stay all the same.
    pub keep: u32,
}

/// A rule that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub id: String,
    pub prefix: String,
    /// All of which an object must have.
    pub tags: Vec<(String, String)>,
    pub larger_than_bytes: Option<u64>,
    pub smaller_than_bytes: Option<u64>,
    pub expiry: Option<Expiry>,
    /// Delete markers with nothing below them go.
    pub markers: bool,
    pub noncurrent: Option<Noncurrent>,
    /// Uploads are dropped so many days after they began.
    pub uploads_days: Option<u32>,
}

/// The midnight at which something is due that happened at `at` and may stay for `days`.
fn due(at: Timestamp, days: u32) -> i64 {
    let over = at.as_millis().saturating_add(i64::from(days) * DAY_MS);
    next_midnight(over - 1)
}

/// The first midnight after `millis`.
fn next_midnight(millis: i64) -> i64 {
    (millis.div_euclid(DAY_MS) + 1) * DAY_MS
}

impl Rule {
    fn is_about(&self, version: &Version) -> bool {
        let has = |tag: &(String, String)| version.metadata.tags.contains(tag);
        version.key.as_str().starts_with(&self.prefix)
            && self.tags.iter().all(has)
            && self.larger_than_bytes.is_none_or(|size| version.size_bytes > size)
            && self.smaller_than_bytes.is_none_or(|size| version.size_bytes < size)
    }

    /// When a current object ends by this rule, if it does.
    pub fn end_of(&self, version: &Version) -> Option<Timestamp> {
        let expiry = self.expiry.filter(|_| !version.is_delete_marker && self.is_about(version))?;
        Some(Timestamp::from_millis(match expiry {
            Expiry::Days(days) => due(version.modified, days),
            Expiry::At(at) => at,
        }))
    }
}

/// The versions of one key, the newest first, and what is due of them.
fn due_of(rules: &[Rule], versions: &[Version], now: Timestamp) -> Vec<Deletion> {
    let mut deletions = Vec::new();
    let over = |at: i64| at <= now.as_millis();
    for (place, version) in versions.iter().enumerate() {
        let gone = match place {
            0 if version.is_delete_marker => {
                let alone = versions.len() == 1;
                let old = |rule: &Rule| {
                    // AWS: a rule that ends objects after days ends lone markers after as many.
                    rule.markers
                        || matches!(rule.expiry, Some(Expiry::Days(days)) if over(due(version.modified, days)))
                };
                alone && rules.iter().any(|rule| rule.is_about(version) && old(rule))
            }
            0 => {
                let ended =
                    |rule: &Rule| rule.end_of(version).is_some_and(|at| over(at.as_millis()));
                if rules.iter().any(ended) {
                    let condition = DeleteCondition {
                        etag: Some(version.etag.clone()),
                        modified: Some(version.modified),
                        size_bytes: None,
                    };
                    deletions.push(Deletion { condition, ..Deletion::of(version.key.clone()) });
                }
                false
            }
            _ => {
                let replaced = versions[place - 1].modified;
                rules.iter().filter(|rule| rule.is_about(version)).any(|rule| {
                    rule.noncurrent.is_some_and(|Noncurrent { days, keep }| {
                        over(due(replaced, days))
                            && place > usize::try_from(keep).unwrap_or(usize::MAX)
                    })
                })
            }
        };
        if gone {
            let version_id = Some(version.id.clone());
            deletions.push(Deletion { version: version_id, ..Deletion::of(version.key.clone()) });
        }
    }
    deletions
}

impl Objects {
    /// The buckets that have lifecycle rules, with them.
    pub async fn rules(&self) -> Result<Vec<(BucketName, Vec<Rule>)>, ObjectError> {
        Ok(self.db.read(store::all_rules).await?)
    }

    /// Removes everything that is due by the rules of its bucket. Answers how much that was.
    ///
    /// What is locked stays.
    pub async fn expire(&self) -> Result<usize, ObjectError> {
        let mut removed = 0;
        for (bucket, rules) in self.rules().await? {
            removed += match self.expire_in(&bucket, &rules).await {
                // It was removed since.
                Err(ObjectError::NoSuchBucket(_)) => 0,
                done => done?,
            };
        }
        Ok(removed)
    }

    async fn expire_in(&self, bucket: &BucketName, rules: &[Rule]) -> Result<usize, ObjectError> {
        let now = self.clock.now();
        let mut query = Query {
            shown: Shown::Versions,
            prefix: String::new(),
            delimiter: None,
            after: After::Start,
            limit: LIST_PAGE_MAX,
        };
        let mut removed = 0;
        let mut of_key: Vec<Version> = Vec::new();
        loop {
            let page = self.list(bucket, query.clone()).await?;
            let mut deletions = Vec::new();
            for entry in page.entries {
                let Entry::Version(version) = entry else { continue };
                if of_key.first().is_some_and(|first| first.key != version.key) {
                    deletions.extend(due_of(rules, &of_key, now));
                    of_key.clear();
                }
                of_key.push(*version);
            }
            if !page.more {
                deletions.extend(due_of(rules, &of_key, now));
            }
            if let Some(last) = of_key.last() {
                query.after = After::Version(last.key.clone(), last.id.clone());
            }
            removed += self.remove_all(bucket, deletions).await?;
            if !page.more {
                break;
            }
        }
        Ok(removed + self.expire_uploads(bucket, rules, now).await?)
    }

    async fn remove_all(
        &self,
        bucket: &BucketName,
        mut deletions: Vec<Deletion>,
    ) -> Result<usize, ObjectError> {
        let mut removed = 0;
        while !deletions.is_empty() {
            let rest = deletions.split_off(DELETE_OBJECTS_MAX.min(deletions.len()));
            let done =
                self.delete_many(bucket, "", deletions).await.map_err(|error| match error {
                    DeleteError::NoSuchBucket(bucket) => ObjectError::NoSuchBucket(bucket),
                    DeleteError::Index(error) => ObjectError::Index(error),
                })?;
            removed += done.iter().filter(|done| done.is_ok()).count();
            deletions = rest;
        }
        Ok(removed)
    }

    async fn expire_uploads(
        &self,
        bucket: &BucketName,
        rules: &[Rule],
        now: Timestamp,
    ) -> Result<usize, ObjectError> {
        let of_upload = |error| match error {
            UploadError::Index(error) => ObjectError::Index(error),
            UploadError::NoSuchBucket(_)
            | UploadError::NoSuchUpload(_)
            | UploadError::OtherAlgorithm { .. }
            | UploadError::Damaged { .. }
            | UploadError::Disk(_) => ObjectError::NoSuchBucket(bucket.clone()),
        };
        let mut query = UploadQuery { limit: LIST_PAGE_MAX, ..UploadQuery::default() };
        let mut overdue = Vec::new();
        loop {
            let page = self.uploads(bucket, query.clone()).await.map_err(of_upload)?;
            for entry in page.entries {
                let UploadEntry::Upload(upload) = entry else { continue };
                let is_due = rules.iter().any(|rule| {
                    let days =
                        rule.uploads_days.filter(|_| upload.key.as_str().starts_with(&rule.prefix));
                    days.is_some_and(|days| due(upload.initiated, days) <= now.as_millis())
                });
                if is_due {
                    overdue.push((upload.key.clone(), upload.id.clone()));
                }
                query.after = AfterUpload::Upload(upload.key, upload.id);
            }
            if !page.more {
                break;
            }
        }
        let mut removed = 0;
        for (key, id) in overdue {
            // Finished or dropped by somebody else in the meantime is as good.
            removed += usize::from(self.abort_upload(bucket, &key, &id).await.is_ok());
        }
        Ok(removed)
    }

    /// Keeps to the lifecycle rules until `stop`.
    pub async fn run_lifecycle(self, stop: CancellationToken) {
        loop {
            let any = match self.rules().await {
                Ok(rules) => !rules.is_empty(),
                Err(error) => {
                    tracing::error!(%error, "the lifecycle rules cannot be read");
                    false
                }
            };
            if any {
                match self.expire().await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "lifecycle rules removed objects"),
                    Err(error) => tracing::error!(%error, "the lifecycle rules cannot be kept"),
                }
            }
            let now = self.clock.now().as_millis();
            let until = u64::try_from(next_midnight(now) - now).unwrap_or(0);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.rules_changed.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(until)), if any => {}
            }
        }
    }
}
