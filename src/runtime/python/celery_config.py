"""Celery's settings, named by `[celery] celery_config_options`: the broker is our own SQS endpoint.

WINDTUNNEL_QUEUES is a JSON object of queue names and their URLs: predefined, so that Celery neither lists
nor creates queues; a worker's URLs say which worker it is. The queue itself has the visibility timeout of
43,200 s; kombu never sends one.
"""

import collections.abc
import copy
import json
import os

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.app.control import Inspect


class Queues(collections.abc.Mapping):
    """Read when asked for: this module is imported once, before the processes that differ in the variable."""

    def now(self):
        return {name: {"url": url} for name, url in json.loads(os.environ["WINDTUNNEL_QUEUES"]).items()}

    def __getitem__(self, name):
        return self.now()[name]

    def __iter__(self):
        return iter(self.now())

    def __len__(self):
        return len(self.now())


CELERY_CONFIG = copy.deepcopy(DEFAULT_CELERY_CONFIG)
CELERY_CONFIG["broker_transport_options"] = {
    **CELERY_CONFIG["broker_transport_options"],
    "predefined_queues": Queues(),
    "is_secure": False,
    "region": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
    "visibility_timeout": 43200,
    # An arrival ends a long poll at once, so neither number is a delay.
    "wait_time_seconds": 10,
    "polling_interval": 0.1,
}
# MWAA's own: a database proxy may close idle connections.
CELERY_CONFIG["database_engine_options"] = {"pool_pre_ping": True, "pool_recycle": 1200}


def nobody_answers(_inspect):
    """Remote control is off, and its queues are not there to be asked through; newer providers ask at a worker's start."""
    return None


Inspect.active_queues = nobody_answers
