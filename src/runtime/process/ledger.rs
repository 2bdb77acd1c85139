//! Every process that was started for an environment, until it is gone.
//!
//! Promise: nothing started here is merely let go. What its owner drops is ended by a task of the ledger, and
//! [`gone`] returns when the last of these is through; what we do not live to end is found by the next
//! start's sweep, by what was written down here before anybody waited for it.

use std::future::Future;
use std::path::PathBuf;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::sweep;

/// The processes of one environment. Clones are the same ledger.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// One process a line, for the sweep.
    record: PathBuf,
    leaving: TaskTracker,
}

impl Ledger {
    pub(super) fn new(record: PathBuf, leaving: TaskTracker) -> Ledger {
        Ledger { record, leaving }
    }

    /// One with a record of its own, whose processes leave with these.
    pub(super) fn apart(&self, name: &str) -> Ledger {
        let mut record = self.record.clone().into_os_string();
        record.push(name);
        Ledger { record: record.into(), leaving: self.leaving.clone() }
    }

    /// Writes down a process that has just been started.
    pub(super) fn started(&self, pid: Option<u32>) {
        if let Some(pid) = pid {
            sweep::record(&self.record, pid);
        }
    }

    /// Sees something to its end in a task of its own. Without an async runtime there is none, and nobody who waits:
    /// then our own end is near, which the lifelines tell.
    pub(super) fn see_off(&self, end: impl Future<Output = ()> + Send + 'static) {
        if let Ok(handle) = Handle::try_current() {
            self.leaving.spawn_on(end, &handle);
        }
    }

    /// The same, and waits for it. It goes on where the wait is given up.
    pub(super) async fn see_out(&self, end: impl Future<Output = ()> + Send + 'static) {
        let ended = self.leaving.spawn(end).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "an end came to nothing");
        }
    }

    /// Ends what a dead interpreter left: processes that carry `mark` or belong to a component's session.
    pub(super) async fn end_orphans(&self, mark: &str) {
        sweep::orphans(mark.to_owned(), &self.record).await;
    }

    /// After a clean stop there is nothing to look for.
    pub(super) fn forget(&self) {
        sweep::forget(&self.record);
    }
}

/// Waits until everything that was seen off is gone. One waits at a time: who launches or stops.
pub(super) async fn gone(leaving: &TaskTracker) {
    leaving.close();
    leaving.wait().await;
    leaving.reopen();
}

/// A program's process group: killed when this is dropped, so that a program takes its children along.
#[derive(Debug)]
pub(super) struct Group(pub(super) Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        sweep::kill_group(self.0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    pub(in super::super) fn ledger(folder: &Path) -> Ledger {
        Ledger::new(folder.join("processes"), TaskTracker::new())
    }

    impl Ledger {
        pub(in super::super) async fn empty(&self) {
            gone(&self.leaving).await;
        }
    }

    /// Hears of processes: each connects when it is there, and the connection ends with it.
    pub(in super::super) struct Ear(UnixListener);

    impl Ear {
        pub(in super::super) fn new(folder: &Path) -> Ear {
            Ear(UnixListener::bind(folder.join("ear")).unwrap())
        }

        /// A Python program that lets itself be heard, says so in the file `heard`, and stays.
        pub(in super::super) fn program(folder: &Path) -> String {
            let folder = folder.display();
            format!(
                "import signal, socket\n\
                 ear = socket.socket(socket.AF_UNIX)\n\
                 ear.connect('{folder}/ear')\n\
                 open('{folder}/heard', 'w').close()\n\
                 while True: signal.pause()\n"
            )
        }

        pub(in super::super) async fn hear(&self) -> UnixStream {
            self.0.accept().await.unwrap().0
        }
    }

    /// Returns when the process at the other end is gone.
    pub(in super::super) async fn ended(mut process: UnixStream) {
        assert_eq!(process.read(&mut [0]).await.unwrap_or_default(), 0);
    }
}
