"""The zygote's recipe for Airflow 3: what to import, how a child settles, how files are parsed, the API server.

Measured on 3.3.1. Nothing here needs the database to be up before a child does.
"""

import asyncio
import gc
import hmac
import importlib
import inspect
import os
import socket
import sys
import time
import traceback
from pathlib import Path

import project_files
from project_files import Recorder

# Modules that the components would otherwise import each for itself. One that another Airflow 3 lacks
# is left out: it costs the child that wants it some time, no more.
MODULES = """
airflow.__main__ airflow.cli.cli_parser airflow.cli.commands.connection_command airflow.cli.commands.dag_command
airflow.cli.commands.dag_processor_command airflow.cli.commands.db_command airflow.cli.commands.pool_command
airflow.cli.commands.scheduler_command airflow.cli.commands.task_command airflow.cli.commands.triggerer_command
airflow.cli.commands.variable_command airflow.cli.simple_table airflow.api.common.trigger_dag
airflow.dag_processing.manager airflow.dag_processing.processor airflow.dag_processing.bundles.local
airflow.dag_processing.importers airflow.dag_processing.importers.python_importer
airflow.jobs.dag_processor_job_runner airflow.jobs.scheduler_job_runner
airflow.jobs.triggerer_job_runner airflow.models.dagbag airflow.models.serialized_dag
airflow.plugins_manager airflow.serialization.serialized_objects airflow.sdk.execution_time.supervisor
airflow.sdk.execution_time.task_runner airflow.sdk.execution_time.execute_workload airflow.sdk.api.client
airflow.providers.standard.operators.bash airflow.providers.standard.operators.python
airflow.providers.standard.operators.empty airflow.providers.standard.triggers.temporal
airflow.providers.standard.decorators.python
airflow.providers.amazon.aws.hooks.base_aws airflow.providers.celery.cli.celery_command
airflow.providers.celery.executors.celery_executor airflow.providers.celery.executors.celery_executor_utils
airflow.listeners.listener
alembic.context psycopg2.extras asyncpg sqlalchemy.dialects.postgresql.psycopg2
sqlalchemy.dialects.postgresql.asyncpg boto3.session botocore.endpoint botocore.httpsession celery.app.amqp
celery.app.events celery.app.routes celery.app.trace celery.apps.worker celery.backends.database
celery.bin.celery celery.bin.worker celery.concurrency.prefork celery.events.dispatcher celery.events.receiver
pycurl celery.fixups.django celery.loaders.app celery.worker celery.worker.autoscale celery.worker.consumer
celery.worker.worker kombu.asynchronous.aws.sqs kombu.transport.SQS pendulum httpx
airflow.api_fastapi.app airflow.api_fastapi.execution_api.routes airflow.api_fastapi.execution_api.versions
airflow.api_fastapi.core_api.routes.public airflow.api_fastapi.core_api.routes.ui
airflow.providers.fab.auth_manager.fab_auth_manager
airflow.providers.fab.auth_manager.security_manager.override
airflow.providers.fab.auth_manager.api_fastapi.routes.router airflow.providers.fab.www.app
uvicorn uvicorn.config uvicorn.lifespan.on uvicorn.protocols.http.httptools_impl uvicorn.loops.auto uvloop a2wsgi
windtunnel_logging
""".split()

# What a plugin or a settings file of the project could hide behind while we warm up.
FOLDERS = (("core", "dags_folder"), ("core", "plugins_folder"))

# The API server's listening socket. Held here for as long as there is a warm interpreter, because workers are told
# the address once: while the server is started again, what they say waits.
LISTENER = None

# The name that Airflow gives the bundle of its dags folder.
BUNDLE = "dags-folder"


def warm():
    """Imports Airflow without any of the user's code; returns what the ready line tells."""
    global LISTENER
    address = os.environ.get("WINDTUNNEL_WEB_ADDRESS")
    if address:  # else no server is to be forked
        host, _, port = address.rpartition(":")
        LISTENER = socket.create_server((host, int(port)), backlog=2048)
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
    serve_one_version()
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
    """Reads the service descriptions that every scheduler and worker needs to talk to its queue."""
    import boto3

    boto3.client("sqs", region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")


def serve_one_version():
    """Leaves out the execution API's older versions, which take seconds to generate in every process that serves it.

    They are for workers of an older Airflow. Ours are forked from this very interpreter.
    """
    from airflow.api_fastapi.execution_api import versions
    from airflow.api_fastapi.execution_api.routes import execution_api_router
    from cadwyn import HeadVersion, Version, VersionBundle
    from cadwyn.route_generation import _DELETED_ROUTE_TAG

    newest = versions.bundle.versions[0]
    versions.bundle = VersionBundle(HeadVersion(), Version(newest.value))
    execution_api_router.routes[:] = [
        route for route in execution_api_router.routes if _DELETED_ROUTE_TAG not in (getattr(route, "tags", None) or ())
    ]


def settle():
    """In a child: what `import airflow` does that depends on the environment or on the user's files."""
    from airflow import settings
    from airflow.configuration import conf
    from airflow.logging_config import configure_logging

    # A cached module is told from a changed one by size and whole seconds: too coarse for saving twice.
    sys.dont_write_bytecode = True
    settings.configure_vars()
    settings.prepare_syspath_for_config_and_plugins()
    settings.import_local_settings()
    configure_logging()
    settings.configure_orm()
    conf.mask_secrets()
    if not settings.LAZY_LOAD_PLUGINS:
        from airflow import plugins_manager

        plugins_manager.ensure_plugins_loaded()


def main():
    """`airflow <argv>`."""
    from airflow.__main__ import main

    return main()


# The API server


def webserver():
    """Airflow's API server in this process.

    `airflow api-server` has one more interpreter import the application; this is the same server and application
    in the one that has them imported.
    """
    import uvicorn

    from airflow.configuration import conf

    # What the server's own entry point says before it imports the application: it may read the database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    gc.disable()
    from airflow.api_fastapi.app import cached_app

    app = cached_app(apps="all")
    asyncio.run(first_request(app))
    gc.freeze()
    gc.enable()
    config = uvicorn.Config(
        Trusting(app),
        access_log=False,
        log_config=None,
        log_level=os.environ.get("WINDTUNNEL_WEBSERVER_LOG_LEVEL", "info").lower(),
        proxy_headers=True,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=conf.getint("api", "worker_timeout", fallback=120),
    )
    uvicorn.Server(config).run(sockets=[LISTENER])


async def first_request(app):
    """The execution API makes its routes when it is first asked, which a task would have to wait for."""
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        (await client.get("/execution/health")).raise_for_status()


class Trusting:
    """The application behind its reverse proxy, which says in headers whom a request is from (webserver_config.py).

    Airflow's own pages of users and roles read the headers themselves. The rest of Airflow 3 knows a person by a
    token of Airflow's; here each request gets the one of its person.
    """

    # How long a person's token is used again; Airflow's own live for longer.
    TOKEN_SECONDS = 600

    def __init__(self, app):
        self.app = app
        self.tokens = {}  # user -> (role, token, when it was made)
        self.locks = {}  # user -> held while a token is made

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            # For workers, who come without the proxy; the proxy always says this header.
            if b"x-forwarded-host" in headers and scope["path"].startswith("/execution"):
                await answer(send, b"no such page", status=404)
                return
            user = self.user(headers)
            if user is not None:
                if scope["path"] == "/windtunnel/token":
                    # A login's own, which ends with that login's logout and with no other.
                    await answer(send, (await self.token(*user, own=True)).encode())
                    return
                if b"authorization" not in headers:
                    token = await self.token(*user)
                    bearer = (b"authorization", b"Bearer " + token.encode())
                    scope = {**scope, "headers": [*scope["headers"], bearer]}
        await self.app(scope, receive, send)

    def user(self, headers):
        """Name and role that the proxy vouches for; None: nobody."""
        secret = os.environ.get("WINDTUNNEL_WEB_SECRET", "").encode()
        given = headers.get(b"x-windtunnel-secret", b"")
        name = headers.get(b"x-windtunnel-user", b"")
        if not secret or not name or not hmac.compare_digest(given, secret):
            return None
        return name.decode("latin-1"), headers.get(b"x-windtunnel-role", b"Public").decode("latin-1")

    async def token(self, name, role, own=False):
        """A person's token: the one for requests that our proxy vouches for, or one that nobody else has."""
        from starlette.concurrency import run_in_threadpool

        # A person's first requests come side by side, and one of them makes the user.
        async with self.locks.setdefault(name, asyncio.Lock()):
            known = self.tokens.get(name)
            fresh = known is not None and known[0] == role and time.monotonic() - known[2] < self.TOKEN_SECONDS
            if fresh and not own:
                return known[1]
            token = await run_in_threadpool(self.mint, name, role)
            if not own:
                self.tokens[name] = (role, token, time.monotonic())
            return token

    def mint(self, name, role):
        """A token of Airflow's for this person, made or given the role on the way."""
        from airflow import settings
        from airflow.api_fastapi.app import get_auth_manager

        manager = get_auth_manager()
        # Before 3.1, only its pages know the application.
        application = getattr(manager, "flask_app", None) or manager.appbuilder.get_app
        try:
            with application.test_request_context():
                from flask import g

                # Writing a user asks who the current user is (audit columns): nobody, here.
                g.windtunnel_loading = True
                user = application.appbuilder.sm.user_with_role(name, role)
                token = manager.generate_jwt(user)
        finally:
            settings.Session.remove()
        # It remembers people, and so their roles, for half a minute.
        getattr(manager, "cache", {}).clear()
        return token


async def answer(send, body, status=200):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# Parsing


def parse(path):
    """Parses one file and writes DAGs, serialized DAGs and import errors, as the DAG processor would."""
    from airflow import settings
    from airflow.dag_processing import processor

    if ignored(path):
        return {"dag_ids": [], "retired": deactivate(path, keep=[])}
    # The DAG processor answers its parsing children's questions (variables, connections); here it is the child itself.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    if settings.DAGS_FOLDER not in sys.path:
        sys.path.append(settings.DAGS_FOLDER)
    recorder = Recorder()
    for name in (
        "airflow.dag_processing.importers.python_importer",
        "airflow.dag_processing.processor",
        "airflow.models.dagbag",
    ):
        if hasattr(sys.modules.get(name), "traceback"):
            sys.modules[name].traceback = recorder
    request = fitting(
        processor.DagFileParseRequest.model_fields,
        {"file": path, "bundle_path": Path(settings.DAGS_FOLDER), "bundle_name": BUNDLE},
    )
    # A plain logger: it is given events as messages, like the processor's own.
    import structlog

    try:
        parsed = processor._parse_file(processor.DagFileParseRequest(**request), structlog.get_logger())
    except SystemExit as leaving:  # not an Exception, so an older Airflow 3 lets it through
        return blame(path, f"SystemExit: {leaving}", leaving)
    errors = dict(parsed.import_errors or {})
    store(path, parsed.serialized_dags, errors, parsed.warnings)
    dag_ids = sorted(dag.dag_id for dag in parsed.serialized_dags)
    if not errors:
        deactivate(path, keep=dag_ids)
    told = [located(path, text, recorder.errors.get(text)) for text in errors.values()]
    return {"dag_ids": dag_ids, "import_error": told[0] if told else None}


def fitting(names, arguments):
    """The arguments that this version of Airflow knows."""
    return {name: value for name, value in arguments.items() if name in names}


def store(path, dags, errors, warnings=()):
    """Writes what a file came to, and forgets what it came to before."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagwarning import DagWarning
    from airflow.utils.session import create_session

    parameters = inspect.signature(update_dag_parsing_results_in_db).parameters
    named = "files_parsed" in parameters
    place = relative(path)
    warned = {DagWarning(**one) if isinstance(one, dict) else one for one in warnings or ()}
    with create_session() as session:
        if not errors:
            forget_errors([path], session)
        arguments = {
            "bundle_name": BUNDLE,
            "bundle_version": None,
            "dags": dags,
            "import_errors": {(BUNDLE, file): text for file, text in errors.items()} if named else errors,
            "parse_duration": None,
            "warnings": warned,
            "session": session,
            "files_parsed": {(BUNDLE, place)},
        }
        update_dag_parsing_results_in_db(**fitting(parameters, arguments))


def relative(path):
    from airflow import settings

    return os.path.relpath(path, settings.DAGS_FOLDER)


def ignored(path):
    """Whether an `.airflowignore` between the dags folder and the file names the file."""
    from airflow import settings
    from airflow.utils.file import list_py_file_paths

    folder = os.path.dirname(path)
    while folder.startswith(settings.DAGS_FOLDER):
        if os.path.exists(os.path.join(folder, ".airflowignore")):
            options = fitting(inspect.signature(list_py_file_paths).parameters, {"include_examples": False})
            return path not in list_py_file_paths(settings.DAGS_FOLDER, safe_mode=False, **options)
        folder = os.path.dirname(folder)
    return False


def blame(path, message, error=None):
    """Records an import error that Airflow could not: the file ended or blocked its process."""
    text = "".join(traceback.format_exception(error)) if error else message
    named = "files_parsed" in inspect.signature(update_function()).parameters
    store(path, [], {relative(path) if named else path: text})
    return {"dag_ids": [], "import_error": {**located(path, text, error), "message": message}}


def update_function():
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db

    return update_dag_parsing_results_in_db


def deactivate(path, keep):
    """Retires DAGs that a file (or an archive) no longer defines. Airflow's own processor takes a minute."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import or_, select

    place = relative(path)
    here = or_(
        DagModel.relative_fileloc == place,
        DagModel.relative_fileloc.startswith(place + os.sep, autoescape=True),
    )
    with create_session() as session:
        wanted = select(DagModel).where(
            DagModel.bundle_name == BUNDLE, here, DagModel.dag_id.notin_(keep), DagModel.is_stale.is_(False)
        )
        gone = session.scalars(wanted).all()
        for dag in gone:
            dag.is_stale = True
        return sorted(dag.dag_id for dag in gone)


def remove(paths):
    """Retires the DAGs and import errors of files that are gone."""
    from airflow.utils.session import create_session

    gone = {path: deactivate(path, keep=[]) for path in paths}
    with create_session() as session:
        forget_errors(paths, session)
    return gone


def forget_errors(paths, session):
    """Deletes the import errors of files; Airflow stores their names below the bundle, an older one whole."""
    from airflow.models.errors import ParseImportError
    from sqlalchemy import delete, or_

    for path in paths:
        names = (path, relative(path))
        here = or_(*(ParseImportError.filename == name for name in names))
        inside = or_(*(ParseImportError.filename.startswith(name + os.sep, autoescape=True) for name in names))
        session.execute(delete(ParseImportError).where(or_(here, inside)))


def located(path, text, error):
    """An import error with the last place in the user's own files that led to it."""
    from airflow import settings

    return project_files.located(path, text, error, (settings.DAGS_FOLDER, settings.PLUGINS_FOLDER))
