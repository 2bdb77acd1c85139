"""`windtunnel check` inside the warm interpreter: DAG files in processes that none of them can spoil for another.

    {"kind": "run", "call": "windtunnel_check:main", "argv": [REQUEST]}

REQUEST (JSON): project, dags, plugins (folders), files (to check; null: all), jobs, deadline_seconds, memory_bytes,
slow_seconds, known ({"connection", "variable", "pool": [names] or null}), cache (a file, or null) and key (what the
cached results depend on besides files). Answers are JSON lines on stdout: {"file", "seconds", "cached", "dags",
"findings"} as files get done, {"plugins": …} once, {"done": …} last.

A result is kept for the next time together with everything the file read; a file that looked elsewhere (network,
database, programs) is imported again each time.
"""

import hashlib
import json
import os
import select
import signal
import sys
import time
import traceback

import windtunnel_probe as probe

# Kept of what a file prints while it is imported.
OUTPUT_MAX_BYTES = 4096
ANSWER_MAX_BYTES = 64 * 2**20

# After the deadline Airflow's own timer has raised in the file; what catches that is killed.
GRACE_SECONDS = 3.0


# A process is left after so many files, so that what they load does not add up.
FILES_MAX = 40


class Worker:
    """A child that does one thing after another, and answers each with a line of JSON."""

    def __init__(self, prepare):
        """`prepare()` gives, in the child, the function that is called with each name."""
        self.name = None
        self.began = self.deadline = 0.0
        self.data = bytearray()
        self.printed = bytearray()
        self.late = False
        self.left = FILES_MAX
        order, self.orders = os.pipe()
        result, answer = os.pipe()
        output, printer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.orders)
            self.become(prepare, order, answer, printer)
        for fd in (order, answer, printer):
            os.close(fd)
        for fd in (result, output):
            os.set_blocking(fd, False)
        self.result, self.output = result, output

    def become(self, prepare, order, answer, printer):
        """The child. Does not return."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (1, 2):
                os.dup2(printer, fd)
            sys.stdout = sys.__stdout__ = open(1, "w", 1, errors="backslashreplace", closefd=False)
            sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)
            # High, so that a file that closes or writes to low numbers does not meet them.
            channel, orders = os.dup2(answer, 900), os.fdopen(os.dup2(order, 901), "rb")
            os.close(answer)
            os.close(order)
            own = os.getpid()
            work = prepare()
            for line in orders:
                data = json.dumps(attempt(work, json.loads(line))).encode() + b"\n"
                if os.getpid() != own:  # a child of the file's came back here
                    break
                sys.stdout.flush()
                sys.stderr.flush()
                while data:
                    data = data[os.write(channel, data) :]
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.__stderr__)
        finally:
            os._exit(0)

    def order(self, name, seconds):
        self.name = name
        self.left -= 1
        self.began = time.monotonic()
        self.deadline = self.began + seconds
        self.printed.clear()
        os.write(self.orders, json.dumps(name).encode() + b"\n")

    def drain(self):
        """Reads what is there. True when the answer is whole."""
        # The answer first: what was printed before it is in its pipe already.
        for fd, kept, limit in ((self.result, self.data, ANSWER_MAX_BYTES), (self.output, self.printed, OUTPUT_MAX_BYTES)):
            while True:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    break
                if not data:
                    break
                kept += data[: max(0, limit - len(kept))]
        return self.data.endswith(b"\n")

    def take(self):
        """The answer; `None` without a whole one."""
        try:
            return json.loads(bytes(self.data))
        except ValueError:
            return None
        finally:
            self.data.clear()

    def close(self):
        for fd in (self.result, self.output, self.orders):
            os.close(fd)

    def clear(self):
        """Ends what a dead leader left in its group. Who made a session of its own falls to the zygote."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass

    def kill(self):
        # All it started are of its session, or descend from it.
        import zygote

        for pid in zygote.family(self.pid):
            zygote.kill(pid, signal.SIGKILL)


def attempt(work, name):
    """A fault of the check's own is told as such, not taken for the file's."""
    try:
        return work(name)
    except Exception as error:
        message = f"windtunnel could not look at it: {type(error).__name__}: {error}"
        text = traceback.format_exc()
        return {"dags": [], "findings": [probe.finding("check-failed", "error", name, None, message, "report this", text)], "inputs": None}


class Crew:
    """Keeps `jobs` workers busy; wakes for answers, ends and deadlines only."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.wakeup, writer = os.pipe()
        for fd in (self.wakeup, writer):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def run(self, names, prepare, seconds, done):
        """`done(worker, answer or None, exit code or None)` follows each name."""
        waiting, busy, leaving = list(names)[::-1], {}, {}
        while waiting or busy or leaving:
            while waiting and len(busy) < self.jobs:
                worker = Worker(prepare)
                busy[worker.pid] = worker
                worker.order(waiting.pop(), seconds)
            pipes = {fd: worker for worker in busy.values() for fd in (worker.result, worker.output)}
            left = min((worker.deadline for worker in busy.values()), default=0.0) - time.monotonic()
            # All may be late already: then their ends wake us.
            ready, _, _ = select.select([self.wakeup, *pipes], [], [], min(max(0.0, left), 3600.0) if busy else 3600.0)
            for worker in {pipes[fd].pid: pipes[fd] for fd in ready if fd != self.wakeup}.values():
                if worker.drain():
                    answer = worker.take()
                    done(worker, answer, None)
                    if waiting and worker.left > 0 and not (answer or {}).get("marked", True):
                        worker.order(waiting.pop(), seconds)
                    else:
                        leaving[worker.pid] = busy.pop(worker.pid)
                        worker.kill() if answer and answer.get("marked") else os.kill(worker.pid, signal.SIGKILL)
            if self.wakeup in ready:
                self.swallow()
            for worker in busy.values():
                if not worker.late and time.monotonic() >= worker.deadline:
                    worker.late, worker.deadline = True, float("inf")
                    worker.kill()
            for pid, status in ends():
                worker = busy.pop(pid, None)
                if worker is not None:
                    worker.drain()
                    done(worker, worker.take(), os.waitstatus_to_exitcode(status))
                worker = worker or leaving.pop(pid, None)
                if worker is not None:
                    worker.clear()
                    worker.close()

    def swallow(self):
        try:
            os.read(self.wakeup, 4096)
        except BlockingIOError:
            pass


def ends():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def answer(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def failed(worker, code, path, options):
    """What to say of a worker that gave no answer."""
    import zygote

    finding = probe.finding
    if worker.late:
        message = f"the import was not done after {options['deadline_seconds']:g} s and did not stop when told to"
        return finding("import-timeout", "error", path, None, message, "MWAA gives up after 30 s as well")
    if code is not None and code < 0:
        message = f"the file ended its process with {zygote.name_of(-code)}"
        return finding("process-ended", "error", path, None, message, "look for native code, deep recursion or os.kill")
    said = worker.printed.decode(errors="replace").strip()
    if "MemoryError" in said:
        message = f"the import needed more than {options['memory_bytes'] // 2**20} MiB"
        return finding("import-memory", "error", path, None, message, "move the work into a task")
    line = probe.line_of(path, "os._exit", "sys.exit", "exit(")
    return finding("process-ended", "error", path, line, "the file ended its process (os._exit?)", "a DAG file must not exit")


# The files


def files(options):
    """The DAG files below the folder, as Airflow finds them."""
    from airflow.configuration import conf
    from airflow.utils import file

    safe = conf.getboolean("core", "dag_discovery_safe_mode", fallback=True)
    found = set()
    for path in options["files"] or [options["dags"]]:
        if not os.path.isdir(path):
            found.add(path)  # named by a person, who wants to know
            continue
        try:
            found.update(file.list_py_file_paths(path, safe_mode=safe, include_examples=False))
        except TypeError:
            found.update(file.list_py_file_paths(path, safe_mode=safe))
    return sorted(found)


class Kept:
    """Results of earlier checks, by file."""

    def __init__(self, options):
        self.path = options.get("cache")
        plugins = sorted(os.path.join(folder, name) for folder, _, names in os.walk(options["plugins"] or "") for name in names)
        parts = [options["key"], probe.__file__, json.dumps(options["known"], sort_keys=True)]
        parts += [f"{name} {probe.signature(name)}" for name in plugins if "__pycache__" not in name]
        self.key = hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()
        self.results = {}
        self.changed = False
        try:
            with open(self.path) as file:
                kept = json.load(file)
            if kept["key"] == self.key:
                self.results = kept["results"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or not ours
        self.signatures = {}

    def signature(self, path):
        if path not in self.signatures:
            self.signatures[path] = probe.signature(path)
        return self.signatures[path]

    def find(self, path):
        result = self.results.get(path)
        if result and all(self.signature(name) == was for name, was in result["inputs"].items()):
            return result
        return None

    def keep(self, path, result):
        self.changed = True
        if result.get("inputs") is None:
            self.results.pop(path, None)
        else:
            self.results[path] = result

    def save(self, present):
        if not self.path or not self.changed:
            return
        results = {path: result for path, result in self.results.items() if path in present or os.path.exists(path)}
        fresh = f"{self.path}.{os.getpid()}"
        with open(fresh, "w") as file:
            json.dump({"key": self.key, "results": results}, file)
        os.rename(fresh, self.path)


def plugins(options):
    """In a child: loads the plugins; what Airflow says about each."""
    from airflow import plugins_manager

    roots = probe.Roots(options["dags"], options["plugins"])
    recorded = {}
    original = plugins_manager.log.exception

    def remember(*arguments, **settings):
        error = sys.exc_info()[1]
        if error is not None:
            recorded[str(error)] = error
        return original(*arguments, **settings)

    plugins_manager.log.exception = remember
    began = time.monotonic()
    plugins_manager.ensure_plugins_loaded()
    if hasattr(plugins_manager, "get_import_errors"):
        errors = plugins_manager.get_import_errors()
    else:
        errors = plugins_manager.import_errors or {}
    findings = []
    for source, message in errors.items():
        error = recorded.get(str(message))
        file, line = roots.place(error) if error else (None, None)
        text = "".join(traceback.format_exception(error)) if error else None
        words = "".join(traceback.format_exception_only(error)[-1:]).strip() if error else str(message)
        file = file or (source if os.path.isabs(str(source)) else os.path.join(options["plugins"], str(source)))
        findings.append(probe.finding("plugin-error", "error", file, line, f"the plugin does not load: {words}", None, text))
    return {"findings": findings, "seconds": round(time.monotonic() - began, 3)}


def load_plugins(crew, options):
    """Loads the plugins in a child first; here only when that went well, for all files to share."""
    outcome = {}

    def done(worker, answer, code):
        if answer is not None:
            outcome.update(answer)
        elif not outcome:
            outcome["findings"] = [{**failed(worker, code, options["plugins"], options), "code": "plugin-error"}]

    crew.run(["plugins"], lambda: lambda _name: plugins(options), options["deadline_seconds"], done)
    answer({"plugins": outcome})
    if not outcome["findings"] and not os.environ.get("WINDTUNNEL_PLUGINS_LATE"):
        from airflow import plugins_manager

        getattr(plugins_manager, "ensure_plugins_loaded", lambda: None)()


def has_modules(folder):
    return any(name.endswith(".py") for _, _, names in os.walk(folder or "") for name in names)


def main():
    options = json.loads(sys.argv[1])
    began = time.monotonic()
    kept = Kept(options)
    wanted = files(options)
    todo, dags = [], 0
    for path in wanted:
        result = kept.find(path)
        if result is None:
            todo.append(path)
        else:
            dags += len(result["dags"])
            answer({"file": path, "cached": True, **{k: result[k] for k in ("seconds", "dags", "findings")}})
    crew = Crew(options["jobs"])
    # Also with nothing to import: a plugin may be all that changed.
    if has_modules(options["plugins"]) and (todo or not kept.results):
        load_plugins(crew, options)
    before = probe.patches() if todo else []

    def done(worker, result, code):
        seconds = round(time.monotonic() - worker.began, 4)
        if result is None:
            result = {"dags": [], "findings": [failed(worker, code, worker.name, options)], "inputs": None}
        if worker.printed:
            words = worker.printed.decode(errors="replace").strip().splitlines() or [""]
            line = probe.line_of(worker.name, "print(", "sys.stdout", "os.write(1", "os.write(2")
            if line is not None:
                said = repr(words[0][:60])[1:-1]
                result["findings"].append(probe.finding("prints-at-import", "warning", worker.name, line, f"it prints while it is imported: `{said}`"))
        if seconds >= options["slow_seconds"] and not any(f["code"] == "import-timeout" for f in result["findings"]):
            message = f"the import took {seconds:.1f} s"
            result["findings"].append(probe.finding("slow-import", "warning", worker.name, None, message, "Airflow imports it again every 30 s; MWAA gives up after 30 s"))
        result["seconds"] = seconds
        kept.keep(worker.name, result)
        answer({"file": worker.name, "cached": False, **{k: result[k] for k in ("seconds", "dags", "findings")}})

    prepare = lambda: probe.Probe(options, before).probe  # noqa: E731
    crew.run(todo, prepare, options["deadline_seconds"] + GRACE_SECONDS, done)
    kept.save(set(wanted))
    answer({"done": {"files": len(wanted), "imported": len(todo), "seconds": round(time.monotonic() - began, 3)}})
    return 0
