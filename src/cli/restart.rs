//! `windtunnel restart`: `down` and `up`.

use std::process::ExitCode;
use std::time::Duration;

use super::Place;
use super::failure::Failure;
use super::{down, up};

/// Stop the running windtunnel of this project, then start it with these options
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  windtunnel restart --detach")]
pub(super) struct Restart {
    #[command(flatten)]
    up: up::Up,
}

pub(super) async fn run(mut place: Place, asked: Restart) -> Result<ExitCode, Failure> {
    if let Some(folder) = &asked.up.folder {
        place.asked = Some(folder.clone());
    }
    down::stop(&place.state()?, Duration::from_mins(1)).await?;
    up::run(place, asked.up).await
}
