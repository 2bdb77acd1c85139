//! Airflow 2: its own names for what every version needs.

use super::{Variables, Wiring, logging, set};

/// What makes Airflow 2 answer at once on one machine. MWAA's scan intervals stay: they are only a backstop.
pub(super) fn below(below: &mut Variables) {
    set(
        below,
        &[
            // MWAA: 30 and 10 s. A saved DAG would be visible as much later.
            ("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "0"),
            ("AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL", "0"),
            // MWAA: 1 s. Trigger to queued takes 0.1 s instead of 0.3 to 0.7 s.
            ("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.1"),
            // Airflow: 4. One worker process saves 80 MB, and serves one person as well.
            ("AIRFLOW__WEBSERVER__WORKERS", "1"),
            ("AIRFLOW__WEBSERVER__EXPOSE_CONFIG", "False"),
            ("AIRFLOW__API__AUTH_BACKENDS", "airflow.api.auth.backend.session"),
        ],
    );
}

/// What nobody can change: the web server's side of our proxy, and where logs go.
pub(super) fn above(above: &mut Variables, wiring: &Wiring<'_>) {
    let config_file = wiring.code.join("webserver_config.py").display().to_string();
    let manager_log = wiring.task_logs.join("dag_processor_manager.log").display().to_string();
    let scheduler_logs = wiring.task_logs.join("scheduler").display().to_string();
    // The template has Airflow's own permissions. Views of plugins bring more.
    let permissions = if wiring.has_plugins { "True" } else { "False" };
    set(
        above,
        &[
            logging::SET_UP_2,
            ("AIRFLOW__WEBSERVER__CONFIG_FILE", &config_file),
            ("AIRFLOW__WEBSERVER__BASE_URL", wiring.base_url),
            ("AIRFLOW__WEBSERVER__SECRET_KEY", wiring.web_secret_key),
            // Divergence(cookie-secure): MWAA's web server has no plain http door; ours has both on one port.
            ("AIRFLOW__WEBSERVER__COOKIE_SECURE", "False"),
            ("AIRFLOW__WEBSERVER__ENABLE_PROXY_FIX", "True"),
            ("AIRFLOW__FAB__UPDATE_FAB_PERMS", permissions),
            ("AIRFLOW__LOGGING__DAG_PROCESSOR_MANAGER_LOG_LOCATION", &manager_log),
            ("AIRFLOW__SCHEDULER__CHILD_PROCESS_LOG_DIRECTORY", &scheduler_logs),
            // Two environments on one machine would fight for its port, and nobody asks it.
            ("AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "False"),
        ],
    );
}
