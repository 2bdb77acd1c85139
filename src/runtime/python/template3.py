"""Fills an empty database for Airflow 3: tables, the default pool, roles, their permissions, the dags bundle.

Run once per Airflow version; environments start from a copy of the result, and need not synchronise
permissions at every start. One interpreter does what `airflow db migrate` and an API server take two for.
"""

import os

os.environ["AIRFLOW__FAB__UPDATE_FAB_PERMS"] = "True"

from airflow.cli import cli_parser
from airflow.utils.db import upgradedb


def main():
    # The command line's own set-up tells Airflow which database models exist.
    cli_parser.get_parser()
    upgradedb()
    # Only after the tables are there: the application asks for them while it is built.
    from airflow.api_fastapi.app import create_auth_manager

    manager = create_auth_manager()
    manager.init()
    # Building it synchronises the roles with what its pages and Airflow's resources permit.
    manager.get_fastapi_app()
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    # A file can be parsed before the first DAG processor has told of the folder.
    DagBundlesManager().sync_bundles_to_db()


if __name__ == "__main__":
    main()
