//! What MWAA measures from outside Airflow, in `AWS/MWAA`: containers and the queue (MWAA user guide, "Container, queue,
//! and database metrics").

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Rooms;
use crate::airflow::Component;
use crate::airflow::classes::class_of;
use crate::clock::{Clock, Timestamp};
use crate::environment::{Environment, Environments};
use crate::id::{EnvironmentName, QueueName};
use crate::limits::METRIC_FLUSH_SECONDS;
use crate::metrics::{Datum, Dimensions, ENVIRONMENT, Metric, Point, Resolution, Series, Unit};
use crate::queues::QueueError;
use crate::runtime::Usage;

const NAMESPACE: &str = "AWS/MWAA";

/// Looks at queues that come before containers are looked at once: a sample a minute is how their number is read.
const LOOKS_PER_MINUTE: i64 = 60 / METRIC_FLUSH_SECONDS;

/// Measures all environments until `stop`.
pub(super) struct Vitals {
    pub(super) environments: Environments,
    pub(super) rooms: Rooms,
    pub(super) clock: Clock,
}

/// The processor time of a component when it was last looked at.
type Before = HashMap<(EnvironmentName, u32), (Timestamp, f64)>;

/// One container as MWAA counts them.
#[derive(Debug, Default)]
struct Container {
    cpu_percent: Option<f64>,
    memory_percent: f64,
}

impl Vitals {
    pub(super) async fn run(self, stop: CancellationToken) {
        let between = Duration::from_secs(METRIC_FLUSH_SECONDS.unsigned_abs());
        let mut ticks = tokio::time::interval(between);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before = Before::new();
        let mut looks = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let mut data = Vec::new();
            for name in self.environments.list() {
                let Some(environment) = self.environments.get(&name) else { continue };
                data.extend(self.queue(&environment).await);
                if looks % LOOKS_PER_MINUTE == 0 {
                    data.extend(self.containers(&environment, &mut before).await);
                }
            }
            looks += 1;
            if data.is_empty() {
                continue;
            }
            if let Err(error) = self.rooms.metrics.put(data).await {
                warn!(%error, "the measures of environments were not kept");
            }
        }
    }

    async fn queue(&self, environment: &Environment) -> Vec<Datum> {
        let Ok(queue) = QueueName::parse(environment.queue.as_str()) else { return Vec::new() };
        let (depth, age) = match self.rooms.queues.waiting(&queue).await {
            Ok(found) => found,
            // It comes with the first launch.
            Err(QueueError::NoSuchQueue(_)) => return Vec::new(),
            Err(error) => {
                warn!(%error, "the queue could not be measured");
                return Vec::new();
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of messages fit 53 bits")]
        let counts = [
            ("QueuedTasks", Unit::COUNT, depth.visible as f64),
            ("RunningTasks", Unit::COUNT, depth.in_flight as f64),
            ("ApproximateAgeOfOldestTask", Unit::SECONDS, age.as_secs_f64()),
        ];
        let name = &environment.spec.name;
        counts
            .into_iter()
            .map(|(metric, unit, value)| self.datum(name, None, (metric, unit, value)))
            .collect()
    }

    async fn containers(&self, environment: &Environment, before: &mut Before) -> Vec<Datum> {
        let name = &environment.spec.name;
        let usage = self.rooms.runtime.usage(name).await;
        let now = self.clock.now();
        let mut containers: HashMap<(&str, Option<u32>), Container> = HashMap::new();
        for used in &usage {
            let size = class_of(&environment.spec.class).size(used.component);
            let last = before.insert((name.clone(), used.pid), (now, used.cpu_seconds));
            let container = containers.entry((cluster(used), used.number)).or_default();
            #[expect(clippy::cast_precision_loss, reason = "bytes of memory fit 53 bits")]
            let memory = used.memory_bytes as f64 / f64::from(size.memory_gb) / 2f64.powi(30);
            container.memory_percent += memory * 100.0;
            if let Some((at, cpu_seconds)) = last.filter(|(at, _)| *at < now) {
                let seconds = now.as_epoch_seconds() - at.as_epoch_seconds();
                let share = (used.cpu_seconds - cpu_seconds).max(0.0) / seconds;
                *container.cpu_percent.get_or_insert_default() +=
                    share / f64::from(size.vcpus) * 100.0;
            }
        }
        before.retain(|(of, pid), _| of != name || usage.iter().any(|used| used.pid == *pid));
        let mut data = Vec::new();
        for ((cluster, _), Container { cpu_percent, memory_percent }) in containers {
            let values =
                [("CPUUtilization", cpu_percent), ("MemoryUtilization", Some(memory_percent))];
            for (metric, value) in values {
                let value = value.map(|value| (metric, Unit::PERCENT, value));
                data.extend(value.map(|value| self.datum(name, Some(cluster), value)));
            }
        }
        data
    }

    fn datum(
        &self,
        environment: &EnvironmentName,
        cluster: Option<&str>,
        (name, unit, value): (&str, Unit, f64),
    ) -> Datum {
        let mut dimensions = Dimensions::from([(ENVIRONMENT.to_owned(), environment.to_string())]);
        dimensions.extend(cluster.map(|cluster| ("Cluster".to_owned(), cluster.to_owned())));
        let metric = Metric { namespace: NAMESPACE.to_owned(), name: name.to_owned(), dimensions };
        Datum {
            series: Series { metric, unit },
            at: self.clock.now(),
            resolution: Resolution::Second,
            point: Point::of(value, 1.0),
        }
    }
}

/// MWAA runs scheduler, DAG processor and triggerer in one container, and counts the first worker apart from others.
fn cluster(used: &Usage) -> &'static str {
    match (used.component, used.number) {
        (Component::Scheduler | Component::DagProcessor | Component::Triggerer, _) => "Scheduler",
        (Component::WebServer, _) => "WebServer",
        (Component::Worker, None | Some(1)) => "BaseWorker",
        (Component::Worker, Some(_)) => "AdditionalWorker",
    }
}
