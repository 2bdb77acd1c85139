//! What MWAA publishes of what Airflow sends: names, units and dimensions (MWAA user guide, "Apache Airflow environment
//! metrics in CloudWatch"). Everything else that Airflow sends is not published there, nor here.
//!
//! Our Airflow sends tags with its metrics, so that a DAG's id is known from a task's even where both have dots. It
//! sends each metric twice then: under a plain name, which is the one read here, and under an older name with the ids
//! inside, which is read only for the few metrics that have no other.

use super::series::{Dimensions, Metric, Series, Unit};
use super::statsd::Line;

/// Where Airflow's own metrics are.
pub const AIRFLOW_NAMESPACE: &str = "AmazonMWAA";
/// The dimension that every metric of an environment has.
pub const ENVIRONMENT: &str = "Environment";

/// The prefix with which an environment's Airflow sends: whose metrics they are, and how they are to be read.
pub fn statsd_prefix(environment: &str, airflow_version: &str) -> String {
    format!("airflow.{environment}.{}", airflow_version.replace('.', "_"))
}

/// What a line is published as.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Published {
    pub(super) series: Series,
    /// What a time is multiplied with.
    pub(super) scale: f64,
}

/// Where a metric's dimensions come from.
#[derive(Clone, Copy, Debug)]
enum Dimension {
    Is(&'static str, &'static str),
    /// The value of the tag, or of any of these.
    Tag(&'static str, &'static [&'static str]),
}

use Dimension::{Is, Tag};

const SCHEDULER: &[Dimension] = &[Is("Function", "Scheduler")];
const PROCESSING: &[Dimension] = &[Is("Function", "DAG Processing")];
const EXECUTOR: &[Dimension] = &[Is("Function", "Executor")];
const CELERY: &[Dimension] = &[Is("Function", "Celery")];
const TRIGGER: &[Dimension] = &[Is("Function", "Trigger")];
const ALL_TASKS: &[Dimension] = &[Is("DAG", "All"), Is("Task", "All")];
const DAG: &[Dimension] = &[Tag("DAG", &["dag_id"])];
const TASK: &[Dimension] = &[Tag("DAG", &["dag_id"]), Tag("Task", &["task_id"])];
const FINISHED: &[Dimension] =
    &[Tag("DAG", &["dag_id"]), Tag("Task", &["task_id"]), Tag("State", &["state"])];
const OPERATOR: &[Dimension] = &[Tag("Operator", &["task_type", "operator", "operator_name"])];
const POOL: &[Dimension] = &[Tag("Pool", &["pool_name"])];
const FILE: &[Dimension] = &[Tag("DAG Filename", &["file_name"])];
const TRIGGERER_HOST: &[Dimension] = &[Is("Function", "Trigger"), Tag("HostName", &["hostname"])];

type Entry = (&'static str, &'static str, Unit, &'static [Dimension]);

/// By the name that Airflow sends.
const PLAIN: &[Entry] = &[
    ("sla_missed", "SLAMissed", Unit::COUNT, SCHEDULER),
    ("sla_callback_notification_failure", "FailedSLACallback", Unit::COUNT, SCHEDULER),
    ("sla_email_notification_failure", "FailedSLAEmailAttempts", Unit::COUNT, SCHEDULER),
    ("dag_processing.sla_callback_count", "SlaCallbackCount", Unit::COUNT, SCHEDULER),
    ("dataset.updates", "Updates", Unit::COUNT, SCHEDULER),
    ("asset.updates", "Updates", Unit::COUNT, SCHEDULER),
    ("dataset.orphaned", "Orphaned", Unit::COUNT, SCHEDULER),
    ("asset.orphaned", "Orphaned", Unit::COUNT, SCHEDULER),
    ("dataset.triggered_dagruns", "TriggeredDagRuns", Unit::COUNT, SCHEDULER),
    ("asset.triggered_dagruns", "TriggeredDagRuns", Unit::COUNT, SCHEDULER),
    ("celery.execute_command.failure", "FailedCeleryTaskExecution", Unit::COUNT, CELERY),
    ("celery.task_timeout_error", "TaskTimeoutError", Unit::COUNT, CELERY),
    (
        "dag_processing.file_path_queue_update_count",
        "FilePathQueueUpdateCount",
        Unit::COUNT,
        SCHEDULER,
    ),
    ("dag_processing.other_callback_count", "OtherCallbackCount", Unit::COUNT, SCHEDULER),
    ("scheduler.critical_section_busy", "CriticalSectionBusy", Unit::COUNT, SCHEDULER),
    ("scheduler_heartbeat", "SchedulerHeartbeat", Unit::COUNT, SCHEDULER),
    ("scheduler.tasks.killed_externally", "TasksKilledExternally", Unit::COUNT, SCHEDULER),
    ("dagbag_size", "DagBagSize", Unit::COUNT, PROCESSING),
    ("dag_processing.manager_stalls", "ManagerStalls", Unit::COUNT, PROCESSING),
    ("dag_processing.processes", "Processes", Unit::COUNT, PROCESSING),
    ("dag.callback_exceptions", "DagCallbackExceptions", Unit::COUNT, &[Is("DAG", "All")]),
    ("ti.finish", "TaskInstanceFinished", Unit::COUNT, FINISHED),
    ("ti.start", "StartedTaskInstances", Unit::COUNT, ALL_TASKS),
    ("ti_failures", "TaskInstanceFailures", Unit::COUNT, ALL_TASKS),
    ("ti_successes", "TaskInstanceSuccesses", Unit::COUNT, ALL_TASKS),
    ("previously_succeeded", "TaskInstancePreviouslySucceeded", Unit::COUNT, ALL_TASKS),
    ("zombies_killed", "ZombiesKilled", Unit::COUNT, ALL_TASKS),
    ("task_instances_without_heartbeats_killed", "ZombiesKilled", Unit::COUNT, ALL_TASKS),
    ("task_instance_created", "TaskInstanceCreatedUsingOperator", Unit::COUNT, OPERATOR),
    ("operator_failures", "OperatorFailures", Unit::COUNT, OPERATOR),
    ("operator_successes", "OperatorSuccesses", Unit::COUNT, OPERATOR),
    ("task_removed_from_dag", "TaskRemovedFromDAG", Unit::COUNT, DAG),
    ("task_restored_to_dag", "TaskRestoredToDAG", Unit::COUNT, DAG),
    ("triggers.succeeded", "TriggersSucceeded", Unit::COUNT, TRIGGER),
    ("triggers.failed", "TriggersFailed", Unit::COUNT, TRIGGER),
    ("triggers.blocked_main_thread", "TriggersBlockedMainThread", Unit::COUNT, TRIGGER),
    ("triggerer_heartbeat", "TriggerHeartbeat", Unit::COUNT, &[Is("Function", "Triggerer")]),
    ("triggers.running", "TriggersRunning", Unit::COUNT, TRIGGERER_HOST),
    ("dag_processing.import_errors", "ImportErrors", Unit::COUNT, PROCESSING),
    ("dag_file_refresh_error", "DAGFileRefreshError", Unit::COUNT, PROCESSING),
    ("dag_processing.processor_timeouts", "ProcessorTimeouts", Unit::COUNT, PROCESSING),
    ("dag_processing.total_parse_time", "TotalParseTime", Unit::SECONDS, PROCESSING),
    ("executor.open_slots", "OpenSlots", Unit::COUNT, EXECUTOR),
    ("executor.queued_tasks", "QueuedTasks", Unit::COUNT, EXECUTOR),
    ("executor.running_tasks", "RunningTasks", Unit::COUNT, EXECUTOR),
    ("scheduler.orphaned_tasks.adopted", "OrphanedTasksAdopted", Unit::COUNT, SCHEDULER),
    ("scheduler.orphaned_tasks.cleared", "OrphanedTasksCleared", Unit::COUNT, SCHEDULER),
    ("scheduler.tasks.executable", "TasksExecutable", Unit::COUNT, SCHEDULER),
    ("scheduler.tasks.running", "TasksRunning", Unit::COUNT, SCHEDULER),
    ("scheduler.tasks.starving", "TasksStarving", Unit::COUNT, SCHEDULER),
    ("scheduler.tasks.without_dagrun", "TasksWithoutDagRun", Unit::COUNT, SCHEDULER),
    ("pool.open_slots", "PoolOpenSlots", Unit::COUNT, POOL),
    ("pool.queued_slots", "PoolQueuedSlots", Unit::COUNT, POOL),
    ("pool.running_slots", "PoolRunningSlots", Unit::COUNT, POOL),
    ("pool.starving_tasks", "PoolStarvingTasks", Unit::COUNT, POOL),
    ("pool.deferred_slots", "PoolDeferredSlots", Unit::COUNT, POOL),
    ("pool.scheduled_slots", "PoolScheduledSlots", Unit::COUNT, POOL),
    ("cpu.usage", "TaskCpuUsage", Unit::PERCENT, TASK),
    ("mem.usage", "TaskMemoryUsage", Unit::PERCENT, TASK),
    ("collect_db_dags", "CollectDBDags", Unit::MILLISECONDS, PROCESSING),
    (
        "scheduler.critical_section_duration",
        "CriticalSectionDuration",
        Unit::MILLISECONDS,
        SCHEDULER,
    ),
    (
        "scheduler.critical_section_query_duration",
        "CriticalSectionQueryDuration",
        Unit::MILLISECONDS,
        SCHEDULER,
    ),
    ("scheduler.scheduler_loop_duration", "SchedulerLoopDuration", Unit::MILLISECONDS, SCHEDULER),
    ("dagrun.dependency-check", "DAGDependencyCheck", Unit::MILLISECONDS, DAG),
    ("dagrun.duration.success", "DAGDurationSuccess", Unit::MILLISECONDS, DAG),
    ("dagrun.duration.failed", "DAGDurationFailed", Unit::MILLISECONDS, DAG),
    ("dagrun.schedule_delay", "DAGScheduleDelay", Unit::MILLISECONDS, DAG),
    ("dagrun.first_task_scheduling_delay", "FirstTaskSchedulingDelay", Unit::MILLISECONDS, DAG),
    ("dag_processing.last_duration", "DAGFileProcessingLastDuration", Unit::SECONDS, FILE),
    ("task.duration", "TaskInstanceDuration", Unit::MILLISECONDS, TASK),
    ("task.queued_duration", "TaskInstanceQueuedDuration", Unit::MILLISECONDS, TASK),
    ("task.scheduled_duration", "TaskInstanceScheduledDuration", Unit::MILLISECONDS, TASK),
];

/// Names with the file behind them, which have no plain sibling.
const BY_FILE: &[(&str, &str, Unit)] = &[
    ("dag_processing.last_run.seconds_ago.", "DAGFileProcessingLastRunSecondsAgo", Unit::SECONDS),
    ("dag_processing.last_num_of_db_queries.", "DAGFileProcessingLastNumOfDbQueries", Unit::COUNT),
];

/// Names with a DAG's and a task's id behind them, which have no plain sibling.
const BY_TASK: &[(&str, &str)] = &[
    ("cpu.usage.", "TaskCpuUsage"),
    ("mem.usage.", "TaskMemoryUsage"),
    ("task.cpu_usage.", "TaskCpuUsage"),
    ("task.mem_usage.", "TaskMemoryUsage"),
];

/// Ends of names that begin with the kind of a job.
const BY_JOB: &[(&str, &str)] =
    &[("_heartbeat_failure", "JobHeartbeatFailure"), ("_start", "JobStart"), ("_end", "JobEnd")];

/// What a line of an environment's Airflow is published as, if it is.
pub(super) fn publish(line: &Line<'_>) -> Option<Published> {
    let rest = line.name.strip_prefix("airflow.")?;
    let (environment, rest) = rest.split_once('.')?;
    let (version, name) = rest.split_once('.')?;
    let (published, unit, mut dimensions) = by_name(name, line)?;
    dimensions.insert(ENVIRONMENT.to_owned(), environment.to_owned());
    let metric =
        Metric { namespace: AIRFLOW_NAMESPACE.to_owned(), name: published.to_owned(), dimensions };
    Some(Published { series: Series { metric, unit }, scale: scale(unit, name, version) })
}

fn by_name(name: &str, line: &Line<'_>) -> Option<(&'static str, Unit, Dimensions)> {
    if let Some((_, published, unit, dimensions)) = PLAIN.iter().find(|(plain, ..)| *plain == name)
    {
        return Some((published, *unit, read(dimensions, line)?));
    }
    let one = |name: &str, value: &str| Dimensions::from([(name.to_owned(), value.to_owned())]);
    for (prefix, published, unit) in BY_FILE {
        if let Some(file) = name.strip_prefix(prefix) {
            return Some((published, *unit, one("DAG Filename", file)));
        }
    }
    for (prefix, published) in BY_TASK {
        if let Some((dag, task)) = name.strip_prefix(prefix).and_then(|ids| ids.split_once('.')) {
            let mut dimensions = one("DAG", line.tag("dag_id").unwrap_or(dag));
            dimensions.insert("Task".to_owned(), line.tag("task_id").unwrap_or(task).to_owned());
            return Some((published, Unit::PERCENT, dimensions));
        }
    }
    let job = |(end, published): &(&str, &'static str)| {
        let job = name.strip_suffix(end).filter(|job| !job.is_empty() && !job.contains('.'))?;
        Some((*published, Unit::COUNT, one("Job", job)))
    };
    BY_JOB.iter().find_map(job)
}

/// `None` where a tag is missing: the older name of the same metric, or a metric that says nothing.
fn read(dimensions: &[Dimension], line: &Line<'_>) -> Option<Dimensions> {
    dimensions
        .iter()
        .map(|dimension| match dimension {
            Is(name, value) => Some(((*name).to_owned(), (*value).to_owned())),
            Tag(name, tags) => {
                let value = tags.iter().find_map(|tag| line.tag(tag))?;
                Some(((*name).to_owned(), value.to_owned()))
            }
        })
        .collect()
}

/// A plain number that is timed was seconds once, and became milliseconds, as `StatsD` has it, from version to version.
fn scale(unit: Unit, name: &str, version: &str) -> f64 {
    let mut numbers = version.split('_').map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let in_seconds = match name {
        "dag_processing.last_duration" => version < (2, 11),
        "task.queued_duration" | "task.scheduled_duration" => version < (2, 10),
        _ => false,
    };
    match unit {
        Unit::SECONDS if !in_seconds => 0.001,
        Unit::MILLISECONDS if in_seconds => 1000.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::statsd;
    use super::*;

    fn published(text: &str) -> Option<String> {
        let line = format!("{}.{text}", statsd_prefix("dev", "2.10.3"));
        let lines = statsd::parse(line.as_bytes());
        let Series { metric, unit } = publish(&lines[0])?.series;
        let dimensions = metric.dimensions.iter().map(|(name, value)| format!("{name}={value}"));
        let dimensions = dimensions.collect::<Vec<_>>().join(",");
        Some(format!("{}/{} [{dimensions}] {unit}", metric.namespace, metric.name))
    }

    #[test]
    fn airflow_s_names_become_the_published_ones() {
        let cases = [
            (
                "scheduler_heartbeat:1|c",
                "SchedulerHeartbeat [Environment=dev,Function=Scheduler] Count",
            ),
            (
                "ti.finish,dag_id=a.b,task_id=g.t,state=success:1|c",
                "TaskInstanceFinished [DAG=a.b,Environment=dev,State=success,Task=g.t] Count",
            ),
            (
                "ti.start,dag_id=d,task_id=t:1|c",
                "StartedTaskInstances [DAG=All,Environment=dev,Task=All] Count",
            ),
            (
                "pool.open_slots,pool_name=default_pool:128|g",
                "PoolOpenSlots [Environment=dev,Pool=default_pool] Count",
            ),
            (
                "dag_processing.last_duration,file_name=etl:0.2|ms",
                "DAGFileProcessingLastDuration [DAG Filename=etl,Environment=dev] Seconds",
            ),
            (
                "dag_processing.last_run.seconds_ago.etl:3|g",
                "DAGFileProcessingLastRunSecondsAgo [DAG Filename=etl,Environment=dev] Seconds",
            ),
            (
                "task.mem_usage.d.g.t:3|g",
                "TaskMemoryUsage [DAG=d,Environment=dev,Task=g.t] Percent",
            ),
            (
                "operator_failures,dag_id=d,task_id=t,operator=BashOperator:1|c",
                "OperatorFailures [Environment=dev,Operator=BashOperator] Count",
            ),
            ("job_start:1|c", "JobStart [Environment=dev,Job=job] Count"),
            (
                "local_task_job_heartbeat_failure:1|c",
                "JobHeartbeatFailure [Environment=dev,Job=local_task_job] Count",
            ),
        ];
        for (sent, wanted) in cases {
            assert_eq!(published(sent), Some(format!("AmazonMWAA/{wanted}")), "{sent}");
        }
    }

    #[test]
    fn what_mwaa_does_not_publish_and_the_second_name_of_a_metric_are_left_out() {
        for sent in
            ["ti.start.d.t,dag_id=d,task_id=t:1|c", "pool.open_slots.default_pool:1|g", "mine:1|c"]
        {
            assert_eq!(published(sent), None, "{sent}");
        }
        assert_eq!(publish(&statsd::parse(b"ti.start:1|c")[0]), None);
    }

    #[test]
    fn a_time_is_in_the_unit_that_is_published_whichever_version_sent_it() {
        let scaled = |version: &str, name: &str| {
            let text = format!(
                "{}.{name},file_name=f,dag_id=d,task_id=t:1|ms",
                statsd_prefix("e", version)
            );
            publish(&statsd::parse(text.as_bytes())[0]).unwrap().scale
        };
        assert_eq!(scaled("2.10.3", "dag_processing.last_duration").to_bits(), 1f64.to_bits());
        assert_eq!(scaled("3.3.1", "dag_processing.last_duration").to_bits(), 0.001f64.to_bits());
        assert_eq!(scaled("2.9.2", "task.queued_duration").to_bits(), 1000f64.to_bits());
        assert_eq!(scaled("2.10.3", "task.duration").to_bits(), 1f64.to_bits());
    }
}
