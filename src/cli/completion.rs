//! `windtunnel completion`: what a shell needs to complete our commands.

use std::process::ExitCode;

use super::terminal;

/// Print the completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel completion bash > ~/.local/share/bash-completion/completions/windtunnel\n  \
    windtunnel completion zsh > \"${fpath[1]}/_windtunnel\"")]
pub(super) struct Completion {
    shell: clap_complete::Shell,
}

pub(super) fn run(asked: &Completion, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut command, "windtunnel", &mut script);
    terminal::raw_result(&script);
    ExitCode::SUCCESS
}
