//! One SQLite file: transactions, migrations, and the journal of events.
//!
//! Promise: what [`Db::write`] answered is kept if the process is killed the next moment; an event is announced
//! inside the transaction that makes it true, so nobody hears of what they cannot read.
//! Not here: any room's tables (each room's `store.rs` brings its own [`Schema`]).

pub mod journal;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Durability;
pub use journal::{Event, Journal, Numbered};

/// The tables of one room, as steps. A step that has run somewhere is never changed; a new one is added.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The room's name.
    pub room: &'static str,
    /// SQL batches, oldest first.
    pub steps: &'static [&'static str],
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {path}")]
pub struct OpenError {
    path: PathBuf,
    source: rusqlite::Error,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle on the database. Cloning it is cheap.
#[derive(Clone)]
pub struct Db {
    writer: mpsc::Sender<Job>,
    readers: mpsc::Sender<Job>,
    journal: Journal,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Db")
    }
}

/// Threads that read. Reads are short and indexed; two keep a slow listing from holding up a quick look.
const READERS: usize = 2;

impl Db {
    /// Opens or creates the file and brings every room's tables up to date.
    pub fn open(
        path: &Path,
        durability: Durability,
        schemas: &[Schema],
        clock: Clock,
    ) -> Result<Db, OpenError> {
        let failed = |source| OpenError { path: path.to_owned(), source };
        keep_private(path).map_err(failed)?;
        let mut connection = connect(path, durability).map_err(failed)?;
        migrate(&mut connection, &journal::SCHEMA).map_err(failed)?;
        for schema in schemas {
            migrate(&mut connection, schema).map_err(failed)?;
        }
        let last = journal::last(&connection).map_err(failed)?;
        let (writer, jobs) = mpsc::channel::<Job>();
        start_thread("db-write", connection, Arc::new(Mutex::new(jobs)));
        let (readers, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..READERS {
            let connection = connect(path, durability).map_err(failed)?;
            start_thread("db-read", connection, Arc::clone(&jobs));
        }
        Ok(Db { writer, readers, journal: Journal::new(last, clock) })
    }

    /// Runs `work` in a transaction of its own: committed when it returns `Ok`, undone when it returns `Err`.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let journal = self.journal.clone();
        send(&self.writer, move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut tx = Tx { transaction, announced: Vec::new() };
            let value = work(&mut tx)?;
            let Tx { transaction, announced } = tx;
            let last = journal.record(&transaction, &announced)?;
            transaction.commit()?;
            journal.announce(last);
            Ok(value)
        })
        .await
    }

    /// Runs `work` on a connection that only reads.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        send(&self.readers, move |connection| work(connection)).await
    }

    /// What has happened, in commit order.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The events numbered above `seq`, oldest first, `limit` at most.
    pub async fn events_after(&self, seq: u64, limit: u32) -> rusqlite::Result<Vec<Numbered>> {
        self.read(move |connection| journal::after(connection, seq, limit)).await
    }
}

/// A transaction under way. It reads and writes as a connection does.
#[derive(Debug)]
pub struct Tx<'c> {
    transaction: rusqlite::Transaction<'c>,
    announced: Vec<Event>,
}

impl Tx<'_> {
    /// Tells the world, once this transaction is committed and not before.
    pub fn announce(&mut self, event: Event) {
        self.announced.push(event);
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

async fn send<T, E>(
    jobs: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        // Nobody waits any more when the asker was dropped; the work is done all the same.
        drop(answer.send(work(connection)));
    });
    jobs.send(job).expect("a database thread lives as long as a handle on it");
    answered.await.expect("a database thread answers every job, or panics and takes us down")
}

fn start_thread(name: &str, mut connection: Connection, jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
    let run = move || {
        loop {
            let job = jobs.lock().expect("no job runs under this lock").recv();
            match job {
                Ok(job) => job(&mut connection),
                Err(mpsc::RecvError) => return,
            }
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("threads can be started");
}

/// The file holds secrets of environments: it is made readable for its owner alone, and `SQLite` gives the files
/// beside it the same mode.
fn keep_private(path: &Path) -> rusqlite::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| {
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(error.to_string()),
        )
    })
}

fn connect(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn migrate(connection: &mut Connection, schema: &Schema) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_steps (room TEXT PRIMARY KEY, steps INTEGER NOT NULL)",
    )?;
    let done: Option<i64> = tx
        .query_row("SELECT steps FROM schema_steps WHERE room = ?1", [schema.room], |row| {
            row.get(0)
        })
        .optional()?;
    let done = usize::try_from(done.unwrap_or(0)).unwrap_or(0);
    for step in schema.steps.iter().skip(done) {
        tx.execute_batch(step)?;
    }
    tx.execute(
        "INSERT INTO schema_steps (room, steps) VALUES (?1, ?2)
         ON CONFLICT (room) DO UPDATE SET steps = max(steps, excluded.steps)",
        (schema.room, i64::try_from(schema.steps.len()).unwrap_or(i64::MAX)),
    )?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: Schema =
        Schema { room: "notes", steps: &["CREATE TABLE notes (text TEXT NOT NULL) STRICT"] };

    fn open(folder: &Path) -> Db {
        Db::open(&folder.join("db"), Durability::Process, &[NOTES], Clock::system()).unwrap()
    }

    fn event() -> Event {
        Event::EnvironmentChanged {
            environment: crate::id::EnvironmentName::parse("dev").unwrap(),
            status: "AVAILABLE".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_event_is_heard_after_its_transaction_and_never_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = open(folder.path());
        let mut seen = db.journal().subscribe();
        let undone: rusqlite::Result<()> = db
            .write(|tx| {
                tx.announce(event());
                Err(rusqlite::Error::InvalidQuery)
            })
            .await;
        assert!(undone.is_err());
        assert!(!seen.has_changed().unwrap());
        db.write(|tx| {
            tx.announce(event());
            tx.execute("INSERT INTO notes VALUES ('kept')", [])
        })
        .await
        .unwrap();
        seen.changed().await.unwrap();
        let events = db.events_after(0, 10).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event, event());
    }

    #[tokio::test]
    async fn a_file_opened_again_has_what_was_written_and_goes_on_counting() {
        let folder = tempfile::tempdir().unwrap();
        for opened in 1..=2u64 {
            let db = open(folder.path());
            db.write(|tx| {
                tx.announce(event());
                tx.execute("INSERT INTO notes VALUES ('kept')", [])
            })
            .await
            .unwrap();
            let events = db.events_after(0, 10).await.unwrap();
            assert_eq!(events.last().unwrap().seq, opened);
        }
    }
}
