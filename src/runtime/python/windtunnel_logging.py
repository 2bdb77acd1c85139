"""Airflow's logging as MWAA has it: task logs go to CloudWatch Logs while the task runs, and are read from there.

Airflow 2 names it in `[logging] logging_config_class`: it is Airflow's own configuration with Airflow's own handlers;
ours is how soon lines are sent, their format, and that every forked process has a level of its own. Airflow 3 sets its
handlers up as it always does; importing this has them send sooner.
"""

import copy
import logging
import os
import types

import watchtower
from airflow.config_templates import airflow_local_settings as stock
from airflow.configuration import conf

# It would tell every command's user that this module was imported.
logging.getLogger("airflow.logging_config").setLevel(logging.WARNING)

LOGGING_CONFIG = {}


def refresh():
    """Reads the levels again: a forked process may have others than the one that imported this."""
    config = copy.deepcopy(stock.DEFAULT_LOGGING_CONFIG)
    level = conf.get_mandatory_value("logging", "LOGGING_LEVEL").upper()
    for part in (config.get("root", {}), *config.get("loggers", {}).values()):
        if part.get("level") == getattr(stock, "LOG_LEVEL", None):
            part["level"] = level
    task = config.get("handlers", {}).get("task", {})
    if task.get("class", "").endswith(".CloudwatchTaskHandler"):
        task["class"] = "windtunnel_logging.TaskHandler"
        task["filters"] = ["mask_secrets"]
    if "airflow.task" in config.get("loggers", {}):
        config["loggers"]["airflow.task"]["level"] = os.environ.get("WINDTUNNEL_TASK_LOG_LEVEL", level)
    LOGGING_CONFIG.clear()
    LOGGING_CONFIG.update(config)


class Sender(watchtower.CloudWatchLogHandler):
    """watchtower's, which would hold a running task's lines back for a minute."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("send_interval", 0.5)
        super().__init__(*args, **kwargs)

    def emit(self, message):
        # Airflow 3 sends what it says about a DAG file the way of a task's lines. MWAA leaves that out of their
        # group; it is in the one of DAG processing.
        if not (self.log_stream_name or "").startswith("dag_processor/"):
            super().emit(message)


if conf.getboolean("logging", "remote_logging"):
    from airflow.providers.amazon.aws.log import cloudwatch_task_handler as provider

    # What the provider makes its handlers from, in every version of it; a DAG's own watchtower stays as it is.
    provider.watchtower = types.SimpleNamespace(
        CloudWatchLogHandler=Sender, _json_serialize_default=watchtower._json_serialize_default
    )

    class TaskHandler(provider.CloudwatchTaskHandler):
        """Airflow 2's, with each line in Airflow's own format, as MWAA has it."""

        def set_context(self, *args, **kwargs):
            result = super().set_context(*args, **kwargs)
            self.handler.setFormatter(self.formatter)
            return result

        def _event_to_str(self, event):
            return event["message"]


refresh()
