//! Airflow 3: its own names for what every version needs.

use super::{Variables, Wiring, set};

/// What makes Airflow 3 answer at once on one machine. MWAA's scan intervals stay: they are only a backstop.
pub(super) fn below(below: &mut Variables) {
    set(
        below,
        &[
            // MWAA: 30 and 10 s. A saved DAG would be visible as much later.
            ("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "0"),
            ("AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL", "0"),
            // MWAA: 1 s. Trigger to queued takes 0.1 s instead of 0.3 to 0.7 s.
            ("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.1"),
            // Airflow: 5 s, which a finished task may go on holding its slot for.
            ("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1"),
            (
                "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS",
                r#"{"connections_lookup_pattern": "^(?!aws_default$).*$"}"#,
            ),
            ("AIRFLOW__API__EXPOSE_CONFIG", "False"),
            // There are no versions of the dags folder to clean up; each worker would keep a process for it.
            ("AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL", "0"),
        ],
    );
}

/// What nobody can change: the API server's side of our proxy, and where logs go.
pub(super) fn above(above: &mut Variables, wiring: &Wiring<'_>) {
    let config_file = wiring.code.join("webserver_config.py").display().to_string();
    let parse_logs = wiring.task_logs.join("dag_processor").display().to_string();
    // The template has Airflow's own permissions. Views of plugins bring more.
    let permissions = if wiring.has_plugins { "True" } else { "False" };
    set(
        above,
        &[
            (
                "AIRFLOW__CORE__AUTH_MANAGER",
                "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            ),
            ("AIRFLOW__FAB__CONFIG_FILE", &config_file),
            ("AIRFLOW__FAB__UPDATE_FAB_PERMS", permissions),
            ("AIRFLOW__FAB__ENABLE_PROXY_FIX", "True"),
            ("AIRFLOW__API__SECRET_KEY", wiring.web_secret_key),
            ("AIRFLOW__API__BASE_URL", wiring.base_url),
            ("AIRFLOW__API_AUTH__JWT_SECRET", wiring.token_secret),
            ("AIRFLOW__API_AUTH__JWT_ALGORITHM", "HS256"),
            // AWS: a login lasts twelve hours.
            ("AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME", "43200"),
            ("AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME", "86400"),
            // AWS: the visibility timeout of the queue.
            ("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT", "43200"),
            ("AIRFLOW__CORE__MULTI_TEAM", "False"),
            ("AIRFLOW__TRIGGERER__QUEUES_ENABLED", "False"),
            ("AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY", &parse_logs),
            // Two environments on one machine would fight for its port, and nobody asks it.
            ("AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "False"),
        ],
    );
}
