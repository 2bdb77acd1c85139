"""The zygote's recipe for Airflow 2: what to import, how a child settles, how files are parsed.

Measured on 2.10.3. Nothing here needs the database to be up before a child does.
"""

import importlib
import logging
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

import project_files
from project_files import Recorder

# Modules that the components would otherwise import each for itself. One that a later Airflow 2 lacks
# is left out: it costs the child that wants it some time, no more.
MODULES = """
airflow.__main__ airflow.cli.cli_parser airflow.cli.commands.celery_command airflow.cli.commands.connection_command
airflow.cli.commands.dag_command airflow.cli.commands.dag_processor_command airflow.cli.commands.db_command
airflow.cli.commands.pool_command airflow.cli.commands.scheduler_command airflow.cli.commands.task_command
airflow.cli.commands.triggerer_command airflow.cli.commands.variable_command airflow.cli.simple_table
airflow.api.client.local_client airflow.api.common.trigger_dag airflow.dag_processing.manager
airflow.dag_processing.processor airflow.decorators airflow.jobs.dag_processor_job_runner
airflow.jobs.local_task_job_runner airflow.jobs.scheduler_job_runner airflow.jobs.triggerer_job_runner
airflow.models.dagbag airflow.models.serialized_dag airflow.operators.bash airflow.operators.empty
airflow.operators.python airflow.plugins_manager airflow.serialization.serialized_objects
airflow.task.task_runner.standard_task_runner airflow.providers.amazon.aws.hooks.base_aws
airflow.providers.celery.cli.celery_command airflow.providers.celery.executors.celery_executor
airflow.providers.celery.executors.celery_executor_utils airflow.listeners.spec.dagrun
airflow.listeners.spec.dataset airflow.listeners.spec.importerrors airflow.listeners.spec.lifecycle airflow.listeners.spec.taskinstance
airflow.utils.log.secrets_masker alembic.context psycopg2.extras sqlalchemy.dialects.postgresql.psycopg2
boto3.session botocore.endpoint botocore.httpsession celery.app.amqp celery.app.events
celery.app.routes celery.app.trace celery.apps.worker celery.backends.database
celery.bin.celery celery.bin.worker celery.concurrency.prefork celery.events.dispatcher celery.events.receiver
pycurl watchtower airflow.providers.amazon.aws.log.cloudwatch_task_handler airflow.providers.amazon.aws.hooks.logs celery.fixups.django celery.loaders.app celery.worker
celery.worker.autoscale celery.worker.consumer celery.worker.worker kombu.asynchronous.aws.sqs
kombu.transport.SQS pendulum httpx
airflow.www.app airflow.www.views airflow.www.security_appless airflow.www.extensions.init_views
airflow.api.auth.backend.session airflow.providers.fab.auth_manager.fab_auth_manager
airflow.providers.fab.auth_manager.security_manager.override airflow.api_connexion.endpoints.dag_endpoint
airflow.api_connexion.endpoints.dag_run_endpoint airflow.api_connexion.endpoints.health_endpoint
airflow.api_connexion.endpoints.task_instance_endpoint airflow.api_connexion.endpoints.xcom_endpoint
gunicorn.app.base gunicorn.arbiter gunicorn.glogging gunicorn.workers.gthread
""".split()

# What a plugin or a settings file of the project could hide behind while we warm up.
FOLDERS = (("core", "dags_folder"), ("core", "plugins_folder"))


def warm():
    """Imports Airflow without any of the user's code; returns what the ready line tells."""
    # Both would import the project's modules: `lazy_load_plugins` at the end of `import airflow`,
    # `airflow_local_settings` in the middle of it. Children do that for themselves in `settle`.
    lazy = os.environ.get("AIRFLOW__CORE__LAZY_LOAD_PLUGINS")
    os.environ["AIRFLOW__CORE__LAZY_LOAD_PLUGINS"] = "True"
    sys.modules["airflow_local_settings"] = None
    before = list(sys.path)
    import airflow
    from airflow import settings
    from airflow.configuration import conf

    # The folders stay off the path, so that no optional import of a library finds a file of the user's.
    sys.path[:] = before
    skipped = []
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:
            skipped.append(f"{name}: {type(error).__name__}: {error}")
    from airflow.cli import cli_parser
    from airflow.providers_manager import ProvidersManager

    providers = ProvidersManager()
    providers.initialize_providers_list()
    providers.initialize_providers_configuration()
    cli_parser.get_parser()
    import sqlalchemy.orm

    sqlalchemy.orm.configure_mappers()
    preload_botocore()
    settings.dispose_orm()
    del sys.modules["airflow_local_settings"]
    if lazy is None:
        del os.environ["AIRFLOW__CORE__LAZY_LOAD_PLUGINS"]
    else:
        os.environ["AIRFLOW__CORE__LAZY_LOAD_PLUGINS"] = lazy
    settings.LAZY_LOAD_PLUGINS = conf.getboolean("core", "lazy_load_plugins", fallback=True)
    for line in skipped:
        print(f"not warm: {line}", file=sys.stderr)
    folders = [conf.get(*option) for option in FOLDERS]
    return {
        "airflow": airflow.__version__,
        "python": sys.version.split()[0],
        "user_modules": project_files.user_modules(folders),
    }


def preload_botocore():
    """Reads the service descriptions that schedulers, workers and tasks need for their queue and their logs."""
    import boto3

    for service in ("sqs", "logs"):
        boto3.client(service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")


def settle():
    """In a child: what `import airflow` does that depends on the environment or on the user's files."""
    import windtunnel_logging

    from airflow import settings
    from airflow.logging_config import configure_logging

    # A cached module is told from a changed one by size and whole seconds: too coarse for saving twice.
    sys.dont_write_bytecode = True
    settings.configure_vars()
    if hasattr(settings, "prepare_syspath_for_config_and_plugins"):
        settings.prepare_syspath_for_config_and_plugins()
        settings.prepare_syspath_for_dags_folder()
    else:  # before 2.10, one for all folders
        settings.prepare_syspath()
    settings.import_local_settings()
    windtunnel_logging.refresh()
    configure_logging()
    settings.configure_orm()
    if not settings.LAZY_LOAD_PLUGINS:
        from airflow import plugins_manager

        plugins_manager.ensure_plugins_loaded()


def main():
    """`airflow <argv>`."""
    from airflow.__main__ import main

    return main()


def webserver():
    """Airflow's web application under gunicorn in this process; argv: HOST PORT.

    `airflow webserver` starts a second interpreter for gunicorn and watches it from a first one; this
    is the same server and application without both.
    """
    from gunicorn.app.base import BaseApplication

    from airflow import settings
    from airflow.configuration import conf
    from airflow.www import app, gunicorn_config

    host, port = sys.argv[1:3]

    class Server(BaseApplication):
        def load_config(self):
            options = {
                "bind": f"{host}:{port}",
                "workers": conf.getint("webserver", "workers"),
                "worker_class": "gthread",
                "threads": 4,
                "timeout": conf.getint("webserver", "web_server_worker_timeout"),
                "graceful_timeout": 5,
                # The worker builds the application; building it here as well would hold it twice.
                "preload_app": False,
                "proc_name": "airflow-webserver",
                "accesslog": "-" if conf.get("webserver", "access_logfile") == "-" else None,
                "errorlog": "-",
                "loglevel": os.environ.get("WINDTUNNEL_WEBSERVER_LOG_LEVEL", "info").lower(),
                "worker_tmp_dir": None,
                # The engine's connections are the parent's; the application keeps its session object.
                "post_fork": lambda _server, _worker: settings.engine.dispose(close=False),
                "post_worker_init": gunicorn_config.post_worker_init,
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self):
            return app.cached_app()

    Server().run()


# Parsing


def parse(path):
    """Parses one file and writes DAGs, serialized DAGs and import errors, as the DAG processor would."""
    from airflow import settings
    from airflow.dag_processing.processor import DagFileProcessor
    from airflow.models import dagbag
    from airflow.utils.log.logging_mixin import StreamLogWriter, set_context

    if ignored(path):
        return {"dag_ids": [], "retired": deactivate(path, keep=[])}
    recorder = dagbag.traceback = Recorder()
    bags = []
    original = DagFileProcessor._get_dagbag

    def remember(file_path):
        bags.append(original(file_path))
        return bags[-1]

    DagFileProcessor._get_dagbag = staticmethod(remember)
    log = logging.getLogger("airflow.processor")
    processor = DagFileProcessor([], settings.DAGS_FOLDER, log)
    set_context(log, path)
    try:
        # What the file prints goes where the DAG processor would put it.
        with redirect_stdout(StreamLogWriter(log, logging.INFO)), redirect_stderr(StreamLogWriter(log, logging.WARN)):
            processor.process_file(path, [])
    except SystemExit as leaving:  # not an Exception, so Airflow lets it through
        return blame(path, f"SystemExit: {leaving}", leaving)
    bag = bags[-1]
    dag_ids = sorted(bag.dags)
    if not bag.import_errors:
        deactivate(path, keep=dag_ids)
    errors = [located(path, text, recorder.errors.get(text)) for text in bag.import_errors.values()]
    return {"dag_ids": dag_ids, "import_error": errors[0] if errors else None}


def ignored(path):
    """Whether an `.airflowignore` between the dags folder and the file names the file."""
    from airflow import settings
    from airflow.utils.file import find_path_from_directory

    folder = os.path.dirname(path)
    while folder.startswith(settings.DAGS_FOLDER):
        if os.path.exists(os.path.join(folder, ".airflowignore")):
            return path not in find_path_from_directory(settings.DAGS_FOLDER, ".airflowignore")
        folder = os.path.dirname(folder)
    return False


def blame(path, message, error=None):
    """Records an import error that Airflow could not: the file ended or blocked its process."""
    from airflow import settings
    from airflow.dag_processing.processor import DagFileProcessor

    text = "".join(traceback.format_exception(error)) if error else message
    DagFileProcessor.update_import_errors({}, {path: text}, settings.DAGS_FOLDER)
    return {"dag_ids": [], "import_error": {**located(path, text, error), "message": message}}


def deactivate(path, keep):
    """Retires DAGs that a file (or an archive) no longer defines. Airflow's own processor takes a minute."""
    from airflow.models.dag import DagModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from sqlalchemy import or_

    with create_session() as session:
        here = or_(DagModel.fileloc == path, DagModel.fileloc.startswith(path + os.sep, autoescape=True))
        gone = session.query(DagModel).filter(here, DagModel.dag_id.notin_(keep), DagModel.is_active).all()
        for dag in gone:
            dag.is_active = False
            SerializedDagModel.remove_dag(dag.dag_id, session=session)
        return sorted(dag.dag_id for dag in gone)


def remove(paths):
    """Retires the DAGs and import errors of files that are gone."""
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session

    gone = {path: deactivate(path, keep=[]) for path in paths}
    with create_session() as session:
        for path in paths:
            session.query(ParseImportError).filter(ParseImportError.filename.startswith(path, autoescape=True)).delete(
                synchronize_session=False
            )
    return gone


def located(path, text, error):
    """An import error with the last place in the user's own files that led to it."""
    from airflow import settings

    return project_files.located(path, text, error, (settings.DAGS_FOLDER, settings.PLUGINS_FOLDER))
