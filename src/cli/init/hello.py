"""A first DAG: two tasks, the second one takes what the first one returns.

Run it:  windtunnel airflow -- dags trigger hello
"""

from __future__ import annotations

import os
from datetime import datetime

try:  # Airflow 3
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["hello"],
)
def hello():
    @task
    def greet() -> str:
        # startup_script/startup.sh exports the greeting.
        return os.environ.get("HELLO_GREETING", "Hello")

    @task
    def say(greeting: str) -> str:
        print(f"{greeting}, world!")
        return f"{greeting}, world!"

    say(greet())


hello()
