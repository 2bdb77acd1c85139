//! An environment's component lines on their way into its log groups.

use async_trait::async_trait;

use crate::airflow::logging::{Levels, Module};
use crate::clock::Clock;
use crate::id::{EnvironmentName, LogGroupName, LogStreamName};
use crate::logs::{AppendError, Draft, LogError, Logs};
use crate::runtime::LineSink;

/// Takes lines of one environment's components.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) logs: Logs,
    pub(super) clock: Clock,
    pub(super) environment: EnvironmentName,
    pub(super) levels: Levels,
}

impl Lines {
    /// Makes the log groups of the modules that are enabled. They stay when the environment goes, as on MWAA.
    pub(super) async fn make_groups(&self) -> Result<(), LogError> {
        for module in Module::ALL.into_iter().filter(|module| self.levels.of(*module).enabled) {
            self.logs.ensure_group(&self.group(module)).await?;
        }
        Ok(())
    }

    fn group(&self, module: Module) -> LogGroupName {
        let name = module.group(&self.environment);
        LogGroupName::parse(name).expect("an environment's name makes a group's name")
    }

    async fn take(
        &self,
        group: &LogGroupName,
        stream: &LogStreamName,
        events: Vec<Draft>,
    ) -> Result<(), AppendError> {
        match self.logs.write(group, stream, events.clone()).await {
            // Somebody has deleted it; the next line makes it again.
            Err(AppendError::Log(LogError::NoSuchGroup(_))) => {
                self.logs.ensure_group(group).await?;
                self.logs.write(group, stream, events).await?;
            }
            taken => drop(taken?),
        }
        Ok(())
    }
}

#[async_trait]
impl LineSink for Lines {
    async fn write(&self, module: Module, stream: String, lines: Vec<String>) {
        if !self.levels.of(module).enabled {
            return;
        }
        let at = self.clock.now();
        let events = lines.into_iter().map(|message| Draft { at, message }).collect();
        // A DAG file's name may have what a stream's may not.
        let Ok(stream) = LogStreamName::parse(stream.replace([':', '*'], "_")) else { return };
        if let Err(error) = self.take(&self.group(module), &stream, events).await {
            tracing::warn!(%error, %stream, "log lines were not kept");
        }
    }
}
