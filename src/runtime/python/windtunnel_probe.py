"""Imports DAG files as Airflow's DAG processor would, watches what they do, and tells what it found.

Runs in a process that was forked for it (`windtunnel_check.py`). A file that leaves a mark there (a module or the
environment changed, a thread, a directory, anything that was worth a warning) is the last one of its process, so no
file meets what another one did; those that leave none share a process, because most of a fork's cost is the fork.

A finding is {"code", "severity": error|warning, "file", "line", "message", "help", "traceback"}; a result is
{"dags": [{"dag_id", "file", "line", "tasks"}], "findings": [...], "inputs": {path: signature} or None, "marked"}.
"""

import hashlib
import io
import logging
import mmap
import os
import re
import resource
import signal
import sys
import threading
import traceback
import warnings

import windtunnel_run

# A file that starts more processes than this while it is imported is running away.
FORKS_MAX = 32

# Modules of which a DAG file may have changed something that other files would meet in the same process.
WATCHED = ("builtins", "os", "sys", "time", "random", "socket", "json", "datetime", "logging", "subprocess", "pathlib")


def finding(code, severity, file, line, message, help=None, traceback=None):
    return {
        "code": code,
        "severity": severity,
        "file": file,
        "line": line,
        "message": message,
        "help": help,
        "traceback": traceback,
    }


class Roots:
    """The project's own folders: what is the user's, and what is a library's."""

    def __init__(self, *folders):
        self.folders = tuple({os.path.join(f, "") for folder in folders if folder for f in (folder, os.path.realpath(folder))})

    def holds(self, path):
        return isinstance(path, str) and path.startswith(self.folders)

    def place(self, error):
        """(file, line) of the user's frame nearest to the fault; the place of a syntax error is its own."""
        if isinstance(error, SyntaxError) and self.holds(error.filename):
            return error.filename, error.lineno
        found = (None, None)
        seen = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            for frame, line in traceback.walk_tb(error.__traceback__):
                if self.holds(frame.f_code.co_filename):
                    found = (frame.f_code.co_filename, line)
            if found[0]:
                break
            error = error.__cause__ or error.__context__
        return found

    def caller(self):
        """(file, line) of the user's innermost frame that is running now; `None` where there is none."""
        frame = sys._getframe(1)
        while frame is not None:
            if self.holds(frame.f_code.co_filename):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return None


class Silence(io.RawIOBase):
    """Standard input with nothing in it, which remembers who asked."""

    def __init__(self, witness):
        self.witness = witness

    def readable(self):
        return True

    def readinto(self, _buffer):
        self.witness.saw("reads-stdin", "it reads standard input while it is imported; there is none on MWAA")
        return 0


class Witness:
    """What a file does while it is imported, seen through the interpreter's audit events."""

    def __init__(self, roots, project, forks):
        self.roots = roots
        self.project = os.path.join(os.path.realpath(project), "")
        self.forks = forks
        self.seen = {}
        self.inputs = set()
        self.outside = False  # it looked beyond files: the result may differ next time
        self.watching = False
        self.handlers = {
            "open": self.on_open,
            "os.listdir": self.on_folder,
            "os.scandir": self.on_folder,
            "glob.glob": self.on_folder,
            "socket.connect": self.on_connect,
            "socket.getaddrinfo": self.on_resolve,
            "subprocess.Popen": self.on_program,
            "os.system": self.on_program,
            "os.posix_spawn": self.on_program,
            "os.fork": self.on_fork,
            "os.forkpty": self.on_fork,
            "os.kill": self.on_kill,
            "os.killpg": self.on_kill,
        }

    def hook(self, event, arguments):
        handler = self.handlers.get(event)
        if handler is not None and self.watching:
            handler(event, arguments)

    def saw(self, code, message, help=None):
        place = self.roots.caller()
        if place is not None:
            self.seen.setdefault((code, *place), finding(code, "warning", *place, message, help))

    def on_open(self, _event, arguments):
        path = arguments[0]
        if isinstance(path, (str, bytes)) and len(path) < 4096:
            path = os.path.realpath(os.fsdecode(path))
            if path.startswith(self.project):
                self.inputs.add(path)

    on_folder = on_open

    def on_connect(self, _event, arguments):
        address = arguments[1]
        if isinstance(address, tuple) and len(address) >= 2:
            self.network(f"{address[0]}:{address[1]}")

    def on_resolve(self, _event, arguments):
        if arguments[0]:
            self.network(str(arguments[0]))

    def network(self, where):
        self.outside = True
        self.saw(
            "top-level-network",
            f"it talks to {where} while it is imported",
            "Airflow imports the file every 30 s; move the call into a task",
        )

    def on_program(self, _event, arguments):
        self.outside = True
        program = arguments[0]
        program = os.fsdecode(program) if isinstance(program, (str, bytes)) else str(program)
        self.saw("top-level-program", f"it starts `{program}` while it is imported", "move the call into a task")

    def on_fork(self, _event, _arguments):
        self.outside = True
        self.saw("top-level-program", "it starts a process while it is imported", "move the call into a task")
        # Shared with all descendants. Two at once may count as one, which only lets a few more through.
        count = int.from_bytes(self.forks[:4], "little") + 1
        self.forks[:4] = count.to_bytes(4, "little")
        if count > FORKS_MAX:
            raise RuntimeError(f"more than {FORKS_MAX} processes started while the file was imported")

    def on_kill(self, _event, arguments):
        target = arguments[0]
        if target <= 1 or target == os.getppid():
            raise PermissionError("a DAG file may end its own processes only")

    def statement(self, *_arguments):
        """A statement on its way to the metadata database."""
        self.outside = True
        self.saw(
            "top-level-database",
            "it asks Airflow's database while it is imported (a Variable, a Connection, a query)",
            "Airflow imports the file every 30 s; use a template such as `{{ var.value.NAME }}`, or a task",
        )


# What changes by itself: caches, registries of SQLAlchemy and the abstract base classes, the current streams.
RESTLESS = re.compile(r"^(_abc_|__)|cache|_sa_|registry|^stdin$|^stdout$|^stderr$|^last_|^path|^argv$|^modules$|^meta_path$")


def patches():
    """What the watched modules and Airflow's models hold now: to be compared after the import."""
    names = [*WATCHED, *(name for name in sys.modules if name.startswith(("airflow.models.", "airflow.sdk.")))]
    held = []
    for name in names:
        module = sys.modules.get(name)
        if module is None:
            continue
        held.append((name, module, code_of(vars(module))))
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and getattr(thing, "__module__", None) == name:
                held.append((f"{name}.{thing.__qualname__}", thing, code_of(vars(thing))))
    return held


def code_of(names):
    """Only code counts: a module may keep a counter or a memo."""
    kinds = (staticmethod, classmethod, property)
    return [(key, value) for key, value in names.items() if (callable(value) or isinstance(value, kinds)) and not RESTLESS.search(key)]


def patched(before):
    """Names of functions, methods and classes that are others than before."""
    for name, holder, held in before:
        now = vars(holder)
        for key, value in held:
            if now.get(key) is not value:
                yield f"{name}.{key}"


def limit(memory_bytes):
    """Bounds what this process and what it starts may take."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as statm:
            size = int(statm.read().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (size + memory_bytes, size + memory_bytes))
    except (OSError, ValueError):
        pass  # no such file outside of Linux; the deadline is left


def signature(path):
    """Changes when a file's content or a folder's list of names does; `None` where there is nothing."""
    try:
        status = os.stat(path)
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name != "__pycache__")
            return hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()[:16]
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino]


def inputs(witness, path):
    """Everything the result depends on, as far as a file system can tell; `None` where that is not enough."""
    if witness.outside:
        return None
    folders = {os.path.realpath(folder) for folder in sys.path if os.path.isdir(folder)}
    folders = {folder for folder in folders if os.path.join(folder, "").startswith(witness.project)}
    # Those of plugins, which were imported before the fork, are part of the key of the whole.
    everything = witness.inputs | folders | {os.path.realpath(path)}
    return {name: signature(name) for name in everything if not name.endswith(".pyc")}


class Recorder:
    """Stands in for `traceback` in Airflow's DAG bag: keeps the exceptions whose text alone Airflow stores."""

    def __init__(self):
        self.errors = []

    def format_exc(self, *arguments, **options):
        self.errors.append(sys.exc_info()[1])
        return traceback.format_exc(*arguments, **options)

    def __getattr__(self, name):
        return getattr(traceback, name)


def why(error, roots, path, memory_bytes):
    """The finding of an exception that left the file."""
    file, line = roots.place(error)
    name = type(error).__name__
    message = "".join(traceback.format_exception_only(error)[-1:]).strip().splitlines()[0]
    if name == "AirflowTaskTimeout" or "DagBag import timeout" in message:
        code, message, help = "import-timeout", message.partition(": ")[2] or message, "MWAA gives up after 30 s as well"
        message = message.partition(",")[0].partition("after")
        message = f"the import was not done{' after' + message[2].rstrip('.') if message[1] else ''}"
    elif isinstance(error, MemoryError):
        code, help = "import-memory", "move the work into a task"
        message = f"the import needed more than {memory_bytes // 2**20} MiB"
    elif isinstance(error, SystemExit):
        code, help = "import-error", "a DAG file is imported, not run: it must not exit"
        message = f"the file leaves the interpreter: SystemExit({error.code!r})"
    elif name == "AirflowDagCycleException":
        code, help = "cycle", "tasks must not wait for one another in a circle"
    elif name == "AirflowDagDuplicatedIdException":
        code, help = "duplicate-dag-id", "give one of them another `dag_id`"
    elif isinstance(error, ModuleNotFoundError):
        code, help = "import-error", f"add the package of `{error.name}` to the requirements, or the module to dags/ or plugins/"
    elif isinstance(error, KeyError) and "Variable" in message:
        code, help = "import-error", "set it as AIRFLOW_VAR_NAME in .env, or read it in a task or a template"
    else:
        code, help = "import-error", None
    text = "".join(traceback.format_exception(error))
    return finding(code, "error", file or path, line, message, help, text)


class Probe:
    """Imports files in this process, one after the other. There is one per process: audit hooks stay."""

    def __init__(self, options, before):
        """`before`: what `patches` found before the fork."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        self.options = options
        self.before = before
        self.roots = Roots(options["dags"], options["plugins"])
        # Shared with what a file starts, and with nobody else.
        self.forks = mmap.mmap(-1, mmap.PAGESIZE)
        self.witness = None
        self.project = tuple({os.path.join(path, "") for path in (options["project"], os.path.realpath(options["project"]))})
        self.modules = set(sys.modules)
        self.state = self.look()
        event.listen(Engine, "before_cursor_execute", lambda *_: self.witness.watching and self.witness.statement())
        sys.addaudithook(lambda name, arguments: self.witness is not None and self.witness.hook(name, arguments))
        limit(options["memory_bytes"])

    def look(self):
        """What an import should leave as it was."""
        return (
            dict(os.environ),
            list(sys.path),
            list(sys.meta_path),
            threading.active_count(),
            len(warnings.filters),
            len(logging.getLogger().handlers),
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
            sys.getrecursionlimit(),
        )

    def probe(self, path):
        """Imports `path`; what came of it."""
        options = self.options
        self.forks[:4] = bytes(4)
        self.witness = witness = Witness(self.roots, options["project"], self.forks)
        home = os.getcwd()
        sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(Silence(witness)))
        bag, errors = read(path, self.roots, witness, options)
        findings = [*errors, *witness.seen.values()]
        if os.getcwd() != home:
            help = "every file of a process would be imported from there; use absolute paths"
            findings.append(finding("changes-directory", "warning", path, None, "it changes the working directory", help))
            os.chdir(home)
        changed = sorted(patched(self.before))
        if changed:
            help = "other DAGs of the same process meet the change; subclass instead"
            what = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            findings.append(finding("monkeypatch", "warning", path, None, f"it replaces {what}", help))
        marked = bool(findings) or witness.outside or self.look() != self.state
        dags = []
        for dag in bag.dags.values() if bag is not None else ():
            findings += examine(dag, path, self.roots, options)
            file = getattr(dag, "fileloc", None) or path
            dags.append({"dag_id": dag.dag_id, "file": file, "line": definition(dag, path), "tasks": len(dag.tasks)})
        result = {"dags": dags, "findings": findings, "inputs": inputs(witness, path), "marked": marked}
        self.forget()
        return result

    def forget(self):
        """The project's modules leave, so that the next file imports them as if it were the first."""
        for name in set(sys.modules) - self.modules:
            module = sys.modules[name]
            places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
            if name.startswith("unusual_prefix_") or any(place.startswith(self.project) for place in places):
                del sys.modules[name]
        self.modules = set(sys.modules)
        for folder in list(sys.path_importer_cache):
            # By its name and by what that means: a real path costs too much for all of them.
            if folder.startswith(self.project):
                del sys.path_importer_cache[folder]


def read(path, roots, witness, options):
    """The DAG bag, or none, and the errors of the import."""
    recorder = Recorder()
    bag = windtunnel_run.new_bag()
    for name, module in list(sys.modules.items()):
        if name.startswith(("airflow.dag_processing.", "airflow.models.dagbag")) and hasattr(module, "traceback"):
            module.traceback = recorder
    try:
        witness.watching = True
        bag.process_file(path, only_if_updated=False, safe_mode=False)
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # not all are caught by Airflow
        return None, [why(error, roots, path, options["memory_bytes"])]
    finally:
        witness.watching = False
    errors = [why(error, roots, path, options["memory_bytes"]) for error in recorder.errors[: len(bag.import_errors)]]
    if bag.import_errors and not errors:
        errors = [told(text, roots, path) for text in bag.import_errors.values()]
    return bag, errors


FRAME = re.compile(r'^ *File "([^"]+)", line (\d+)', re.MULTILINE)


def told(text, roots, path):
    """The finding of an error of which there is the text alone."""
    places = [(file, int(line)) for file, line in FRAME.findall(text) if roots.holds(file)]
    file, line = places[-1] if places else (path, None)
    return finding("import-error", "error", file, line, (text.strip() or "unknown").splitlines()[-1], None, text)


# What a DAG says


def definition(dag, path):
    """The line with the DAG's id, as a person would look for it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            lines = source.read().splitlines()
    except OSError:
        return None
    quoted = re.compile(rf"""["']{re.escape(dag.dag_id)}["']|\bdef {re.escape(dag.dag_id)}\(""")
    return next((number for number, line in enumerate(lines, 1) if quoted.search(line)), None)


def line_of(path, *words):
    """The first line of a file with one of the words; `None` without."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            for number, line in enumerate(source, 1):
                if any(word in line for word in words):
                    return number
    except OSError:
        pass
    return None


TEMPLATE = re.compile(r"\b(var\.(?:value|json)|conn)\.(?:get\(\s*['\"])?([A-Za-z_][A-Za-z0-9_]*)")

# Connections that Airflow or MWAA brings, or that mean "none needed".
GIVEN_CONNECTIONS = {"aws_default", "fs_default"}


def examine(dag, path, roots, options):
    """What Airflow would refuse or miss in a DAG that imports."""
    yield from serializable(dag, path)
    for name, where in wanted(dag):
        if missing(*name, options["known"]):
            kind, word = name
            line = line_of(path, f"'{word}'", f'"{word}"', f".{word}")
            message = f"task `{where}` of `{dag.dag_id}` wants the {kind} `{word}`, which is not there"
            help = HELP[kind].format(upper=word.upper())
            yield {**finding(f"missing-{kind}", "warning", path, line, message, help), "wants": list(name)}
    try:
        import windtunnel_rules
    except ImportError:
        return
    yield from windtunnel_rules.examine(dag, path, options)


HELP = {
    "connection": "set AIRFLOW_CONN_{upper} in .env, or make it in the environment",
    "variable": "set AIRFLOW_VAR_{upper} in .env, or make it in the environment",
    "pool": "make it in the environment: `windtunnel airflow -- pools set`",
}


def missing(kind, name, known):
    """Whether nobody has it who can be seen from here."""
    if known[kind] is None or name in known[kind]:
        return False
    if kind == "connection":
        return name not in GIVEN_CONNECTIONS and f"AIRFLOW_CONN_{name.upper()}" not in os.environ
    return kind == "pool" or f"AIRFLOW_VAR_{name.upper()}" not in os.environ


def wanted(dag):
    """((kind, name), task) of the connections, variables and pools that tasks name."""
    told = set()
    for task in dag.tasks:
        arguments = getattr(task, "partial_kwargs", None) or vars(task)
        names = []
        for key, value in list(arguments.items()):
            if not isinstance(value, str) or not value:
                continue
            if (key.endswith("conn_id") or key == "conn_id") and "{{" not in value:
                names.append(("connection", value))
            elif key == "pool" and value != "default_pool":
                names.append(("pool", value))
        for field in getattr(task, "template_fields", ()):
            for text in strings(arguments.get(field, getattr(task, field, None))):
                for kind, name in TEMPLATE.findall(text):
                    if name != "get":
                        names.append(("connection" if kind == "conn" else "variable", name))
        for name in names:
            if name not in told:
                told.add(name)
                yield name, task.task_id


def strings(value, depth=3):
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner, depth - 1)
    elif depth and isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from strings(inner, depth - 1)


def serializable(dag, path):
    """Airflow keeps a DAG as JSON; one that has none is an import error there."""
    try:
        try:
            from airflow.serialization.serialized_objects import DagSerialization as Serialized
        except ImportError:
            from airflow.serialization.serialized_objects import SerializedDAG as Serialized
        Serialized.to_dict(dag)
    except Exception as error:
        message = f"DAG `{dag.dag_id}` cannot be serialized: {error}".splitlines()[0]
        text = "".join(traceback.format_exception(error))
        yield finding("serialization", "error", path, definition(dag, path), message, None, text)
