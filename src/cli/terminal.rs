//! The two streams. A reader that has gone away (`windtunnel status | head -1`) is no error.

use std::io::{self, Write as _};

/// A line of the result.
pub(super) fn result(line: &str) {
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Bytes of the result, as they are.
pub(super) fn raw_result(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// A line for the person who waits.
pub(super) fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Bytes for the person who waits, as they are.
pub(super) fn raw_note(bytes: &[u8]) {
    drop(io::stderr().lock().write_all(bytes));
}
