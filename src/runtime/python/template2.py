"""Fills an empty database for Airflow 2: tables, the default pool, roles and their permissions.

Run once per Airflow version; environments start from a copy of the result, and need not synchronise
permissions at every start. One interpreter does what `airflow db migrate` and a web server take two for.
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
    from airflow.www.app import cached_app

    app = cached_app()
    with app.app_context():
        app.appbuilder.sm.sync_roles()


if __name__ == "__main__":
    main()
