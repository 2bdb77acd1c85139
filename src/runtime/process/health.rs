//! Waits until Airflow itself says that its components are healthy.
//!
//! The web server answers for all of them from the database, where rows of an earlier launch look healthy for half
//! a minute: a heartbeat counts only if it is younger than this launch.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::supervise::Shared;
use super::tail;
use crate::clock::Timestamp;
use crate::limits;
use crate::runtime::LaunchError;

/// What the recipe's health path answers, the same in Airflow 2 and 3. Unknown members are left alone.
#[derive(Debug, Default, Deserialize)]
struct Health {
    #[serde(default)]
    metadatabase: Part,
    #[serde(default)]
    scheduler: Part,
    #[serde(default)]
    triggerer: Part,
    #[serde(default)]
    dag_processor: Part,
}

#[derive(Debug, Default, Deserialize)]
struct Part {
    status: Option<String>,
    #[serde(
        alias = "latest_scheduler_heartbeat",
        alias = "latest_triggerer_heartbeat",
        alias = "latest_dag_processor_heartbeat"
    )]
    heartbeat: Option<String>,
}

impl Part {
    fn healthy(&self) -> bool {
        self.status.as_deref() == Some("healthy")
    }

    fn alive_since(&self, since: Timestamp) -> bool {
        let beat = self.heartbeat.as_deref().and_then(milliseconds);
        self.healthy() && beat.is_some_and(|beat| beat >= since.as_millis())
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    let moment = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
}

impl Health {
    fn all_since(&self, since: Timestamp) -> bool {
        let beating = [&self.scheduler, &self.triggerer, &self.dag_processor];
        self.metadatabase.healthy() && beating.into_iter().all(|part| part.alive_since(since))
    }
}

/// Returns when all are healthy and have a process; gives up on a component that keeps ending.
pub(super) async fn wait(shared: &Shared, path: &str, since: Timestamp) -> Result<(), LaunchError> {
    let limit = Duration::from_secs(limits::COMPONENTS_START_MAX_SECONDS);
    let healthy = async {
        loop {
            let states = shared.states();
            let broken =
                states.iter().find(|state| state.restarts >= limits::COMPONENT_START_ATTEMPTS);
            if let Some(broken) = broken {
                return Err(LaunchError {
                    what: format!("the {} does not start", broken.component),
                    why: format!("it ended {} times", broken.restarts),
                    next: format!("see {}", broken.log.display()),
                    detail: tail(&broken.log),
                });
            }
            if let Some(address) = shared.web()
                && states.iter().all(|state| state.pid.is_some())
                && ask(address, path).await.is_ok_and(|health| health.all_since(since))
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    match tokio::time::timeout(limit, healthy).await {
        Ok(result) => result,
        Err(_) => Err(LaunchError {
            what: "the components do not become healthy".to_owned(),
            why: format!("not all of them were after {} s", limit.as_secs()),
            next: "see the logs folder of the environment; the machine may be too busy".to_owned(),
            detail: String::new(),
        }),
    }
}

/// One plain HTTP/1.0 request: the server closes when it has said all.
async fn ask(address: SocketAddr, path: &str) -> io::Result<Health> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let wait = tokio::time::timeout(Duration::from_secs(5), answer).await;
    let answer: io::Result<Vec<u8>> = wait.map_err(io::Error::from)?;
    let answer = answer?;
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &answer[at + 4..]);
    Ok(serde_json::from_slice(body.unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_of_an_earlier_launch_does_not_count() {
        let text = r#"{"metadatabase": {"status": "healthy"},
            "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:10.5+00:00"},
            "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": "2026-01-01T00:00:11+00:00"},
            "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": "2026-01-01T00:00:12+00:00"}}"#;
        let health: Health = serde_json::from_str(text).unwrap();
        let at = |seconds: i64| Timestamp::from_millis(1_767_225_600_000 + seconds * 1000);
        assert!(health.all_since(at(10)));
        assert!(!health.all_since(at(11)));
    }
}
