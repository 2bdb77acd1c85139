"""Runs one DAG from beginning to end in this process: no scheduler, no worker, real tasks, real XComs.

`run(dag)` gives a `Run` to look at; `windtunnel run` and the fixtures `run_dag` and `run_task` are made of it.
It stands on Airflow's own `dag.test()`, of Airflow 2 and 3. Two differences to a scheduler's run: retries follow at
once, and an XCom may be given instead of running the task that would return it.
"""

import contextlib
import datetime
import importlib
import io
import logging
import re
import sys
import time
import traceback

FRAME_FORMAT = logging.Formatter("[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s")


class Task:
    """One task instance of a run."""

    def __init__(self, task_id, map_index=-1):
        self.task_id = task_id
        self.map_index = map_index
        self.state = None
        self.seconds = 0.0
        self.tries = 0
        self.error = None
        self.log = ""

    @property
    def key(self):
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    def __repr__(self):
        return f"<Task {self.key}: {self.state}>"


class Run:
    """A whole DAG run: states, XComs, logs."""

    def __init__(self, dag_id):
        self.dag_id = dag_id
        self.run_id = None
        self.state = None
        self.seconds = 0.0
        self.tasks = {}  # key -> Task
        self.xcoms = {}  # task's key -> {XCom key: value}
        self.rendered = {}  # task's key -> {template field: rendered text}

    @property
    def succeeded(self):
        return self.state == "success"

    @property
    def states(self):
        """State by task; `name[0]` is the first of a mapped task."""
        return {key: task.state for key, task in self.tasks.items()}

    def xcom(self, task_id, key="return_value"):
        """What a task has handed on; a list of all, in order, for a mapped task."""
        if task_id in self.xcoms:
            return self.xcoms[task_id].get(key)
        mapped = [task for task in self.tasks.values() if task.task_id == task_id and task.map_index >= 0]
        if not mapped:
            raise KeyError(f"`{self.dag_id}` has run no task `{task_id}`; it has run {', '.join(self.tasks)}")
        ordered = sorted(mapped, key=lambda task: task.map_index)
        return [self.xcoms.get(task.key, {}).get(key) for task in ordered]

    def log(self, task_id):
        """What a task has logged and printed."""
        return self.tasks[task_id].log

    def error(self, task_id):
        """The exception that a task has failed with, or `None`."""
        return self.tasks[task_id].error

    def __repr__(self):
        return f"<Run {self.dag_id}: {self.state} {self.states}>"


class Collector(logging.StreamHandler):
    """Takes the task's log: Airflow's own handlers write to files that nobody reads here."""

    def __init__(self):
        super().__init__(io.StringIO())
        self.setFormatter(FRAME_FORMAT)
        self.sink = None

    def emit(self, record):
        if self.sink is not None:
            self.sink.write(self.format(record) + "\n")


class Tee(io.TextIOBase):
    """Standard output of a task: kept, and handed on."""

    def __init__(self, kept, onward):
        self.kept = kept
        self.onward = onward

    def writable(self):
        return True

    def write(self, text):
        self.kept.write(text)
        if self.onward is not None:
            self.onward.write(text)
        return len(text)

    def flush(self):
        if self.onward is not None:
            self.onward.flush()


class Observer:
    """Is told as the run goes on. Does nothing by itself."""

    def began(self, run, dag):
        pass

    def task_began(self, run, task):
        pass

    def task_ended(self, run, task):
        pass

    def ended(self, run):
        pass


def of_task_module():
    """The module whose `_run_task` `dag.test()` calls."""
    for name in ("airflow.sdk.definitions.dag", "airflow.models.dag"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "_run_task"):
            return module
    raise RuntimeError("this Airflow has no dag.test() that can be watched; windtunnel knows 2.9 to 3.3")


def run(dag, conf=None, logical_date=None, replace=None, mark_success=None, observer=None, echo=None):
    """Runs `dag` to its end.

    `replace`: {task_id: value}, tasks that are not run but hand on that value. `mark_success`: a regular expression
    of task ids that are taken for done. `echo`: a stream that gets what tasks print, as they print it.
    """
    observer = observer or Observer()
    result = Run(dag.dag_id)
    module = of_task_module()
    original = module._run_task
    collector = Collector()
    began = time.monotonic()

    def watched(*, ti, **rest):
        result.run_id = ti.run_id
        task = result.tasks.setdefault(Task(ti.task_id, ti.map_index).key, Task(ti.task_id, ti.map_index))
        task.tries += 1
        since = time.monotonic()
        observer.task_began(result, task)
        kept = io.StringIO()
        collector.sink = kept
        try:
            if replace and ti.task_id in replace:
                hand_on(ti, replace[ti.task_id])
                return None
            with contextlib.redirect_stdout(Tee(kept, echo)):
                outcome = original(ti=ti, **rest)
            task.error = getattr(outcome, "error", None)
            return outcome
        except Exception as error:
            task.error = error
            kept.write("".join(traceback.format_exception(error)))
            raise
        finally:
            collector.sink = None
            task.log += kept.getvalue()
            task.seconds += time.monotonic() - since
            task.state = text(ti.state)
            observer.task_ended(result, task)

    for task in dag.tasks:
        if getattr(task, "retries", 0):
            with contextlib.suppress(Exception):  # a mapped operator has its own way; then it waits
                task.retry_delay = datetime.timedelta(0)
    arguments = {"run_conf": conf, "mark_success_pattern": pattern(dag, mark_success)}
    if logical_date is not None:
        arguments["execution_date" if module.__name__ == "airflow.models.dag" else "logical_date"] = logical_date
    observer.began(result, dag)
    with quiet(collector), replaced(module, "_run_task", watched):
        dag_run = dag.test(**{name: value for name, value in arguments.items() if value is not None})
    gather(result, dag_run)
    result.seconds = time.monotonic() - began
    observer.ended(result)
    return result


def pattern(dag, mark_success):
    if not mark_success:
        return None
    matching = re.compile(mark_success)
    # Airflow looks for a match of the whole id; a person means a part of it.
    ids = [re.escape(task_id) for task_id in dag.task_ids if matching.search(task_id)]
    return "|".join(ids) or None


@contextlib.contextmanager
def replaced(holder, name, value):
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


@contextlib.contextmanager
def quiet(collector):
    """Task logs go to the collector; what `dag.test()` says of itself goes nowhere."""
    tasks = logging.getLogger("airflow.task")
    own = tasks.handlers
    silenced = [logging.getLogger(name) for name in ("airflow.models.dag", "airflow.models.dagrun", "airflow.sdk.definitions.dag")]
    levels = [logger.level for logger in silenced]
    tasks.handlers = [collector]
    dags = [logging.getLogger(f"airflow.{kind}") for kind in ("models.dag.DAG", "executors.executor_loader")]
    for logger in (*silenced, *dags):
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        tasks.handlers = own
        for logger, level in zip(silenced, levels):
            logger.setLevel(level)
        for logger in dags:
            logger.setLevel(logging.NOTSET)


def hand_on(ti, value):
    """The task is done and has returned `value`."""
    from airflow.utils.session import create_session

    try:
        from airflow.models.xcom import XComModel as XCom
    except ImportError:
        from airflow.models.xcom import XCom
    if value is not None:
        with create_session() as session:
            XCom.set(
                key="return_value",
                value=value,
                dag_id=ti.dag_id,
                task_id=ti.task_id,
                run_id=ti.run_id,
                map_index=ti.map_index,
                session=session,
            )
    ti.set_state("success")


def text(state):
    return None if state is None else str(getattr(state, "value", state))


def gather(result, dag_run):
    """States, XComs and rendered templates, as the database has them at the end."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Rendered
    from airflow.utils.session import create_session

    try:
        from airflow.models.xcom import XComModel as XCom
    except ImportError:
        from airflow.models.xcom import XCom
    key = lambda row: Task(row.task_id, row.map_index).key  # noqa: E731
    with create_session() as session:
        dag_run = session.merge(dag_run)
        result.run_id, result.state = dag_run.run_id, text(dag_run.state)
        for ti in dag_run.get_task_instances(session=session):
            task = result.tasks.setdefault(key(ti), Task(ti.task_id, ti.map_index))
            task.state = text(ti.state)
        here = {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id}
        # Columns and not objects: Airflow 2 shortens what it cannot show when it loads an object.
        columns = (XCom.task_id, XCom.map_index, XCom.key, XCom.value)
        for row in session.query(*columns).filter(XCom.dag_id == dag_run.dag_id, XCom.run_id == dag_run.run_id):
            result.xcoms.setdefault(key(row), {})[row.key] = XCom.deserialize_value(row)
        for row in session.query(Rendered).filter_by(**here):
            result.rendered[key(row)] = row.rendered_fields


def part(dag, task_ids, downstream=False):
    """The DAG with some of its tasks only, and what they wait for left out (or, `downstream`, what follows kept)."""
    unknown = [task_id for task_id in task_ids if task_id not in dag.task_dict]
    if unknown:
        raise KeyError(f"`{dag.dag_id}` has no task `{unknown[0]}`; it has {', '.join(sorted(dag.task_dict))}")
    exactly = [f"^{re.escape(task_id)}$" for task_id in task_ids]
    return dag.partial_subset("|".join(exactly), include_upstream=False, include_downstream=downstream)


# Finding a DAG without reading every file


def bag_class():
    for name in ("airflow.dag_processing.dagbag", "airflow.models.dagbag"):
        try:
            return importlib.import_module(name).DagBag
        except (ImportError, AttributeError):
            continue
    raise ImportError("this Airflow has no DagBag")


def dag_files(folder):
    from airflow.utils import file

    try:
        return sorted(file.list_py_file_paths(folder, include_examples=False))
    except TypeError:
        return sorted(file.list_py_file_paths(folder))


class NoSuchDag(LookupError):
    """No file of the project defines the DAG; the text has the import errors that may be why."""


def find(dag_id, folder):
    """The DAG of that id: files that have the id in them are read first."""
    files = dag_files(folder)

    def names_it(path):
        try:
            with open(path, "rb") as source:
                return dag_id.encode() in source.read()
        except OSError:
            return False

    files.sort(key=lambda path: not names_it(path))
    bag = new_bag()
    for path in files:
        bag.process_file(path, only_if_updated=False)
        dag = bag.dags.get(dag_id)
        if dag is not None:
            return dag
    raise NoSuchDag(explain(dag_id, bag))


def new_bag():
    import os

    try:
        return bag_class()(os.devnull, include_examples=False, collect_dags=False)
    except TypeError:  # Airflow 3.2 and later have no examples there
        return bag_class()(os.devnull, collect_dags=False)


def explain(dag_id, bag):
    known = ", ".join(sorted(bag.dags)) or "none"
    words = [f"no DAG `{dag_id}`; there is {known}"]
    for path, error in bag.import_errors.items():
        words.append(f"{path} does not import: {error.strip().splitlines()[-1]}")
    return "\n".join(words)


if __name__ == "__main__":
    sys.exit("this module is imported; `windtunnel run DAG_ID` runs a DAG")
