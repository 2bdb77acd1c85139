//! The environment's own files that a person wants to see: what its processes and its startup script printed.

use std::path::{Path, PathBuf};

use axum::body::Body;
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Serialize;
use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::failure::Failure;
use super::{Surroundings, json, query};
use crate::api::wire::Response;
use crate::environment::Environment;
use crate::limits::CONSOLE_LOG_TAIL_BYTES;

#[derive(Debug, Serialize)]
struct LogFile {
    name: String,
    size_bytes: u64,
}

fn folder(around: &Surroundings, environment: &Environment) -> PathBuf {
    around.home.join(environment.spec.name.as_str()).join("logs")
}

/// `GET /environments/NAME/log-files`.
pub(super) async fn list(
    around: &Surroundings,
    environment: &Environment,
) -> Result<Response, Failure> {
    let mut found = Vec::new();
    let Ok(mut entries) = fs::read_dir(folder(around, environment)).await else {
        return Ok(json(StatusCode::OK, &found));
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(meta) = entry.metadata().await else { continue };
        if meta.is_file() && is_plain(&name) {
            found.push(LogFile { name, size_bytes: meta.len() });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(json(StatusCode::OK, &found))
}

/// `GET /environments/NAME/log-file?name=F`: its end, as text.
pub(super) async fn tail(
    around: &Surroundings,
    environment: &Environment,
    uri: &Uri,
) -> Result<Response, Failure> {
    let name = query::needed(uri, "name")?;
    if !is_plain(&name) {
        return Err(Failure::NoSuchPage);
    }
    let path = folder(around, environment).join(&name);
    let text = end_of(&path).await.map_err(|_| Failure::NoSuchPage)?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

async fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path).await?;
    let size = file.metadata().await?.len();
    file.seek(std::io::SeekFrom::Start(size.saturating_sub(CONSOLE_LOG_TAIL_BYTES))).await?;
    let mut text = Vec::new();
    file.take(CONSOLE_LOG_TAIL_BYTES).read_to_end(&mut text).await?;
    Ok(text)
}

/// A name that cannot lead anywhere else.
fn is_plain(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    letters && !name.starts_with('.') && !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(is_plain("startup_worker.log"));
        for name in ["", "..", ".hidden", "../x", "a/b", "a\\b"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
