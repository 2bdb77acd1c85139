"""The warm interpreter: pays for Airflow's imports once, then forks everything that needs them.

One process per environment, started as

    python zygote.py --socket PATH --recipe airflow2 [--grace SECONDS] [--also MODULE] [--idle SECONDS]

It listens on the Unix socket before it warms up (early callers wait in the backlog), writes one JSON
line on stdout when it is warm, and lives until its stdin reaches end of file (the lifeline to whoever
started it) or it is told to stop with SIGTERM. Either way it takes its children along. With `--idle` it
has no lifeline: it goes when nobody has asked for anything that long. `--also` names a module whose
`warm()` imports what else its callers want.

One connection is one request. A frame is a type (one byte), a length (u32, big endian) and a payload:

    client:  Q request (JSON)   I stdin bytes (empty: end of input)   K signal (JSON, see `Call.signal`)
    zygote:  R result (JSON)    O stdout bytes   E stderr bytes       X exit (JSON), always the last

Exit is {"rc": 0..255}, {"signal": number} or {"error": "why the request was not carried out"}.
A client that closes its end ends what it asked for. Descriptors are never passed, so the same protocol
works over any stream, also across a container's boundary.

Rules that keep forking safe: one thread, no database connection, no user code (a module of the user's
would go stale in every later fork). What Airflow is lives in the recipe; nothing here knows it.
"""

import argparse
import collections
import errno
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import termios
import threading
import time
import traceback

HEADER = struct.Struct(">cI")

# A request carries an environment and a list of files: far below this. Guards against a stray client.
FRAME_LIMIT_BYTES = 16 * 1024 * 1024

# A slow reader makes the call wait (its pipes are no longer read), it does not make us grow.
BACKLOG_LIMIT_BYTES = 1024 * 1024

# What a call may do between SIGTERM and SIGKILL once its client is gone.
ABANDONED_GRACE_SECONDS = 5.0

# Later than Airflow's own import timeout (30 s), which knows where the file hung.
PARSE_DEADLINE_SECONDS = 50.0

SUBREAPER, DEATH_SIGNAL = 36, 1  # prctl(2) options


class Fork(BaseException):
    """Raised in a fresh child, so that it leaves the event loop's frames before it starts to work."""

    def __init__(self, work):
        super().__init__("child")
        self.work = work


def prctl(option, value):
    """Sets a Linux process attribute; elsewhere there is none and the start-up sweep does the work."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def processes():
    """Every process as (pid, parent's pid). Only called when something has to be killed."""
    try:
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as stat:
                        yield int(name), int(stat.read().rpartition(b")")[2].split()[1])
                except OSError:
                    continue
    except OSError:
        import psutil

        for process in psutil.process_iter(["pid", "ppid"]):
            yield process.info["pid"], process.info["ppid"]


def name_of(number):
    """A signal's name; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def session_of(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return None


def kill(pid, number):
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EPERM):
            raise


def family(leader):
    """The living processes of a leader's session and all their descendants, leader included.

    Sessions alone are not enough (BashOperator starts its command in one of its own), nor are parents
    (a dead parent's children get another).
    """
    table = list(processes())
    members = {pid for pid, _ in table if pid == leader or session_of(pid) == leader}
    grown = True
    while grown:
        more = {pid for pid, parent in table if parent in members} - members
        members |= more
        grown = bool(more)
    return members


def exit_of(status):
    code = os.waitstatus_to_exitcode(status)
    return {"rc": code} if code >= 0 else {"signal": -code}


class Zygote:
    """The event loop: connections, children and timers. Everything here runs in the one thread."""

    def __init__(self, listener, recipe, grace, idle=None):
        self.listener = listener
        self.idle = idle
        self.quiet_since = time.monotonic()
        self.recipe = recipe
        self.grace = grace
        self.calls = set()
        self.leaders = {}  # pid of each direct child of ours -> what to call with its exit
        self.owned = set()  # descriptors that no child may keep
        self.timers = []  # (when, callback); a handful at most
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.lifeline = 0 if idle is None else None
        self.wakeup, self.wakeup_writer = os.pipe()
        for fd in (self.wakeup, self.wakeup_writer):
            os.set_blocking(fd, False)

    def serve(self):
        """Runs until it is time to stop and every child is gone."""
        signal.set_wakeup_fd(self.wakeup_writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # a handler must exist; the wake-up byte tells us
        self.selector.register(self.wakeup, selectors.EVENT_READ, self.on_signal)
        self.selector.register(self.listener, selectors.EVENT_READ, self.on_connection)
        if self.lifeline is None:
            self.after(self.idle, self.rest)
        else:
            self.selector.register(self.lifeline, selectors.EVENT_READ, self.on_lifeline)
        self.reap()  # a child of the warm-up's, should a library have left one
        while not (self.stopping and not self.leaders):
            for key, events in self.selector.select(self.next_timer()):
                current = self.selector.get_map().get(key.fileobj)
                if current is not None and current.data == key.data:  # else an earlier event of this round closed it
                    key.data(events)
            self.run_timers()

    def next_timer(self):
        if not self.timers:
            return None
        return max(0.0, min(when for when, _ in self.timers) - time.monotonic())

    def run_timers(self):
        now = time.monotonic()
        due = [timer for timer in self.timers if timer[0] <= now]
        self.timers = [timer for timer in self.timers if timer[0] > now]
        for _, callback in due:
            callback()

    def after(self, seconds, callback):
        self.timers.append((time.monotonic() + seconds, callback))

    def on_signal(self, _events):
        try:
            numbers = os.read(self.wakeup, 4096)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stop(self.grace)
        if signal.SIGCHLD in numbers:
            self.reap()

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            on_exit = self.leaders.pop(pid, None)
            if on_exit is not None:  # otherwise an orphan that came to us as the subreaper
                self.bury(pid)
                on_exit(exit_of(status))

    def bury(self, leader):
        """Ends what a dead leader left behind: its session, and orphans that have fallen to us."""
        try:
            # As the subreaper we get every orphan, so mostly there is nothing to look for.
            with open(f"/proc/self/task/{os.getpid()}/children") as children:
                left = {int(pid) for pid in children.read().split()} - self.leaders.keys()
                left = {pid for pid in left if session_of(pid) not in self.leaders}
                left = set().union(*map(family, left))
        except OSError:
            left = family(leader)
        for pid in left - {os.getpid()}:
            kill(pid, signal.SIGKILL)

    def on_lifeline(self, _events):
        if not os.read(self.lifeline, 4096):
            self.selector.unregister(self.lifeline)
            self.stop(min(self.grace, ABANDONED_GRACE_SECONDS))

    def rest(self):
        """Stops when nobody has asked for anything for long enough; looks again when that could be."""
        busy = bool(self.calls or self.leaders)
        left = self.idle if busy else self.quiet_since + self.idle - time.monotonic()
        if left > 0:
            self.after(left, self.rest)
        else:
            self.stop(self.grace)

    def stop(self, grace):
        if self.stopping:
            return
        self.stopping = True
        self.selector.unregister(self.listener)
        for pid in list(self.leaders):
            self.end(pid, grace)

    def end(self, leader, grace):
        """SIGTERM to the leader, which knows how to stop its own; what is left after `grace` is killed."""
        kill(leader, signal.SIGTERM)
        on_exit = self.leaders[leader]

        def insist():
            if self.leaders.get(leader) is on_exit:  # else it is dead, and its number may be another's
                for pid in family(leader):
                    kill(pid, signal.SIGKILL)

        self.after(grace, insist)

    def on_connection(self, _events):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        self.calls.add(Call(self, connection))

    def fork(self, work, on_exit):
        """Forks a session leader that does `work()`; returns its pid. `on_exit(exit)` follows its death."""
        pid = os.fork()
        if pid:
            self.leaders[pid] = on_exit
            return pid
        raise Fork(work)

    def let_go(self):
        """In a child: forget everything that belongs to the event loop."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.selector.close()
        self.listener.close()
        for call in self.calls:
            if call.connection is not None:
                call.connection.close()
        for fd in (self.wakeup, self.wakeup_writer, *self.owned):
            os.close(fd)

    def own(self, fd):
        """Marks our end of a pipe to a child; returns it."""
        os.set_blocking(fd, False)
        self.owned.add(fd)
        return fd

    def drop(self, fd):
        """Closes what `own` has marked."""
        self.unwatch(fd)
        self.owned.discard(fd)
        os.close(fd)

    def unwatch(self, fd):
        if fd in self.selector.get_map():
            self.selector.unregister(fd)


class Call:
    """One connection: its request, what it started, and the bytes on their way in and out."""

    def __init__(self, zygote, connection):
        self.zygote = zygote
        self.connection = connection
        self.received = bytearray()
        self.outgoing = collections.deque()
        self.outgoing_bytes = 0
        self.pipes = {}  # our end of a child's pipe -> frame type
        self.stdin = None
        self.stdin_pending = bytearray()
        self.stdin_ended = False
        self.leader = None
        self.parse = None
        self.last = False  # the X frame is queued: close once it is out
        connection.setblocking(False)
        self.interest = 0
        self.watch(selectors.EVENT_READ)

    # The connection

    def watch(self, events):
        if events == self.interest:
            return
        selector = self.zygote.selector
        if self.interest == 0:
            selector.register(self.connection, events, self.on_ready)
        elif events == 0:
            selector.unregister(self.connection)
        else:
            selector.modify(self.connection, events, self.on_ready)
        self.interest = events

    def on_ready(self, events):
        if events & selectors.EVENT_WRITE:
            self.flush()
        if events & selectors.EVENT_READ and self.connection is not None:
            self.on_bytes()

    def on_bytes(self):
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.on_gone()
            return
        self.received += data
        while self.connection is not None and len(self.received) >= HEADER.size:
            kind, size = HEADER.unpack_from(self.received)
            if size > FRAME_LIMIT_BYTES:
                self.fail(f"a frame of {size} bytes is over the limit of {FRAME_LIMIT_BYTES}")
                return
            if len(self.received) < HEADER.size + size:
                return
            payload = bytes(self.received[HEADER.size : HEADER.size + size])
            del self.received[: HEADER.size + size]
            self.on_frame(kind, payload)

    def on_frame(self, kind, payload):
        try:
            if kind == b"Q":
                self.start(json.loads(payload))
            elif kind == b"I":
                self.feed(payload)
            elif kind == b"K":
                self.signal(**json.loads(payload))
            else:
                self.fail(f"no such frame: {kind!r}")
        except (ValueError, TypeError, KeyError, OSError) as error:
            self.fail(f"{type(error).__name__}: {error}")

    def on_gone(self):
        """The client hung up. Nobody is left to tell, so what it asked for ends."""
        self.close()
        if self.leader in self.zygote.leaders:
            self.zygote.end(self.leader, ABANDONED_GRACE_SECONDS)
        if self.parse is not None:
            self.parse.cancel()

    def send(self, kind, payload):
        if self.connection is None:
            return
        frame = HEADER.pack(kind, len(payload)) + payload
        self.outgoing.append(frame)
        self.outgoing_bytes += len(frame)
        self.flush()

    def send_json(self, kind, value):
        self.send(kind, json.dumps(value).encode())

    def flush(self):
        try:
            while self.outgoing:
                sent = self.connection.send(self.outgoing[0])
                self.outgoing_bytes -= sent
                if sent < len(self.outgoing[0]):
                    self.outgoing[0] = self.outgoing[0][sent:]
                    break
                self.outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.on_gone()
            return
        if self.outgoing:
            self.watch(selectors.EVENT_READ | selectors.EVENT_WRITE)
        elif self.last:
            self.close()
            return
        else:
            self.watch(selectors.EVENT_READ)
        self.pace()

    def pace(self):
        """Reads the child's pipes only while the client keeps up."""
        for fd in self.pipes:
            registered = fd in self.zygote.selector.get_map()
            if self.outgoing_bytes > BACKLOG_LIMIT_BYTES:
                self.zygote.unwatch(fd)
            elif self.outgoing_bytes <= BACKLOG_LIMIT_BYTES and not registered:
                self.zygote.selector.register(fd, selectors.EVENT_READ, lambda _events, fd=fd: self.on_output(fd))

    def fail(self, why):
        self.finish({"error": why})
        if self.leader in self.zygote.leaders:
            self.zygote.end(self.leader, ABANDONED_GRACE_SECONDS)

    def finish(self, exit):
        if self.last or self.connection is None:
            return
        self.last = True
        self.send_json(b"X", exit)

    def close(self):
        if self.connection is None:
            return
        self.watch(0)
        self.connection.close()
        self.connection = None
        for fd in list(self.pipes):
            self.close_pipe(fd)
        self.close_stdin()
        self.zygote.calls.discard(self)
        self.zygote.quiet_since = time.monotonic()

    # Requests

    def start(self, request):
        kind = request.pop("kind")
        if self.leader is not None or self.parse is not None:
            raise ValueError("a connection carries one request; open another")
        if self.zygote.stopping:
            raise ValueError("the interpreter is stopping")
        starters = {
            "ping": self.ping,
            "run": self.run,
            "component": self.component,
            "parse": self.parse_files,
            "stop": self.stop_all,
        }
        if kind not in starters:
            raise ValueError(f"no such request: {kind!r}; known are {', '.join(starters)}")
        starters[kind](**request)

    def ping(self):
        self.send_json(b"R", {**READY, "children": len(self.zygote.leaders), "threads": threading.active_count()})
        self.finish({"rc": 0})

    def stop_all(self):
        """Stops the interpreter and its children, as SIGTERM does."""
        self.finish({"rc": 0})
        self.zygote.stop(self.zygote.grace)

    def run(self, argv, call=None, env=None, cwd=None, stdin=False, tty=None):
        """Runs `argv` (the recipe's command line, or `module:function` given as `call`) to its end.

        With `tty`, the path of the caller's terminal, that is all three of its streams: no frames.
        """
        theirs = []
        if tty is not None:
            # Not as its controlling terminal, which is the caller's own: signals come as K frames.
            theirs += [os.open(tty, os.O_RDWR | os.O_NOCTTY) for _ in range(3)]
        elif stdin:
            reader, writer = os.pipe()
            theirs.append(reader)
            self.stdin = self.zygote.own(writer)
        else:
            theirs.append(os.open(os.devnull, os.O_RDONLY))
        for kind in () if tty is not None else (b"O", b"E"):
            reader, writer = os.pipe()
            theirs.append(writer)
            self.pipes[self.zygote.own(reader)] = kind

        def work():
            dress(*theirs)
            return become(self.zygote.recipe, argv, call, env, cwd)

        self.leader = self.zygote.fork(work, self.on_exit)
        for fd in theirs:
            os.close(fd)
        self.pace()

    def component(self, argv, log, call=None, env=None, cwd=None):
        """Starts a process that stays; its output is appended to the file `log`."""
        appended = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

        def work():
            dress(os.open(os.devnull, os.O_RDONLY), appended, appended)
            return become(self.zygote.recipe, argv, call, env, cwd)

        self.leader = self.zygote.fork(work, self.on_exit)
        os.close(appended)
        self.send_json(b"R", {"pid": self.leader})

    def parse_files(self, files=(), removed=(), env=None, deadline=PARSE_DEADLINE_SECONDS, jobs=2):
        """Parses DAG files as Airflow's own processor would, one child each; forgets `removed` ones."""
        self.parse = Parse(self, list(files), list(removed), env, deadline, jobs)
        self.parse.advance()

    def signal(self, signal, grace=None):
        """A signal by number to the leader; with `grace` (seconds), SIGKILL to its whole family after it."""
        if self.leader in self.zygote.leaders:
            if grace is None:
                kill(self.leader, signal)
            else:
                self.zygote.end(self.leader, grace)

    # Children

    def feed(self, data):
        if self.stdin is None:
            return
        self.stdin_ended = self.stdin_ended or not data
        self.stdin_pending += data
        self.drain_stdin()

    def drain_stdin(self, _events=0):
        """Writes what the child is ready to read; a child that no longer reads is no error."""
        if self.stdin is None:
            return
        try:
            while self.stdin_pending:
                written = os.write(self.stdin, self.stdin_pending[:65536])
                del self.stdin_pending[:written]
        except BlockingIOError:
            if self.stdin not in self.zygote.selector.get_map():
                self.zygote.selector.register(self.stdin, selectors.EVENT_WRITE, self.drain_stdin)
            return
        except OSError:
            self.stdin_ended = True
        self.zygote.unwatch(self.stdin)
        if self.stdin_ended:
            self.close_stdin()

    def close_stdin(self):
        if self.stdin is not None:
            self.zygote.drop(self.stdin)
            self.stdin = None

    def on_output(self, fd):
        """One read per event, so that one talkative call does not starve the others."""
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.close_pipe(fd)
            return False
        self.send(self.pipes[fd], data)
        return fd in self.pipes

    def close_pipe(self, fd):
        self.zygote.drop(fd)
        del self.pipes[fd]

    def on_exit(self, exit):
        """The leader is dead and its family buried: what the pipes still hold is all there will be."""
        for fd in list(self.pipes):
            while fd in self.pipes and pending(fd):
                if not self.on_output(fd):
                    break
        self.finish(exit)


def pending(fd):
    """Whether a pipe holds bytes right now."""
    counted = fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0")
    return struct.unpack("i", counted)[0] > 0


class Parse:
    """One parse request: a child per file, `jobs` at a time, each with its own deadline."""

    def __init__(self, call, files, removed, env, deadline, jobs):
        self.call = call
        self.zygote = call.zygote
        self.waiting = collections.deque((i, lambda one: call.zygote.recipe.parse(one[0]), [file]) for i, file in enumerate(files))
        self.results = [None] * len(files)
        self.removed = {}
        if removed:
            self.waiting.appendleft((None, call.zygote.recipe.remove, removed))
        self.env = env
        self.deadline = deadline
        self.jobs = max(1, jobs)
        self.running = {}
        self.blamed = set()
        self.cancelled = False

    def cancel(self):
        self.cancelled = True
        self.waiting.clear()
        for pid in list(self.running):
            for member in family(pid):
                kill(member, signal.SIGKILL)

    def advance(self):
        while self.waiting and len(self.running) < self.jobs:
            self.start(*self.waiting.popleft())
        if not self.waiting and not self.running and not self.cancelled:
            self.call.send_json(b"R", {"files": self.results, "removed": self.removed})
            self.call.finish({"rc": 0})

    def start(self, index, verb, files):
        began = time.monotonic()
        reader, writer = os.pipe()
        state = {"data": bytearray(), "late": False}

        def work():
            log = os.dup(2)
            dress(os.open(os.devnull, os.O_RDONLY), log, log)
            settle(self.zygote.recipe, self.env, None)
            try:
                result = verb(files)
            except BaseException as error:  # SystemExit in a DAG file is the file's error, not ours
                result = {"import_error": crash(files[0], f"{type(error).__name__}: {error}", traceback.format_exc())}
            data = json.dumps(result).encode()
            while data:
                data = data[os.write(writer, data) :]
            return 0

        def collect(_events):
            try:
                data = os.read(reader, 65536)
            except BlockingIOError:
                return
            if data:
                state["data"] += data
            else:
                self.zygote.unwatch(reader)

        def on_exit(exit):
            del self.running[pid]
            while pending(reader):
                state["data"] += os.read(reader, 65536)
            self.zygote.drop(reader)
            self.record(index, files, state, exit, time.monotonic() - began)
            self.advance()

        def expire():
            if pid in self.running:
                state["late"] = True
                for member in family(pid):
                    kill(member, signal.SIGKILL)

        self.zygote.own(reader)
        try:
            pid = self.zygote.fork(work, on_exit)
        except OSError as error:  # the machine has no room for one more: that is this file's bad luck alone
            os.close(writer)
            self.zygote.drop(reader)
            self.record(index, files, state, {"error": str(error)}, time.monotonic() - began)
            return
        os.close(writer)
        self.running[pid] = index
        self.zygote.selector.register(reader, selectors.EVENT_READ, collect)
        self.zygote.after(self.deadline, expire)

    def record(self, index, files, state, exit, seconds):
        try:
            result = json.loads(state["data"])
        except ValueError:
            if state["late"]:
                why = f"DagBag import timeout: not done after {self.deadline:g} s"
            elif "signal" in exit:
                why = f"the file ended its process with {name_of(exit['signal'])}"
            elif "error" in exit:
                why = f"no process could be started to read the file: {exit['error']}"
            else:
                why = f"the file ended its process with exit code {exit['rc']}"
            result = {"import_error": crash(files[0], why, "")}
            if index is not None and index not in self.blamed and not self.cancelled:
                self.blamed.add(index)
                # The next child has the database tell it as well; its result replaces this one.
                self.waiting.append((index, lambda one: self.zygote.recipe.blame(one[0], why), files))
        if index is None:
            self.removed = result
        else:
            self.results[index] = {"file": files[0], "dag_ids": [], "import_error": None, **result, "seconds": round(seconds, 4)}


def crash(file, message, text):
    return {"message": message, "file": file, "line": None, "traceback": text}


# In the child


def dress(stdin, stdout, stderr):
    """Makes three descriptors the child's standard ones."""
    # All of ours are above 2, because 0, 1 and 2 are open in the zygote itself.
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
    for fd in {stdin, stdout, stderr}:
        os.close(fd)
    # New objects, because the zygote's own remember what kind of file they were made for.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", 1, errors="backslashreplace", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)


def settle(recipe, env, cwd):
    """Takes the place a freshly started interpreter would have: its environment, directory and settings."""
    for name, value in (env or {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if "TZ" in (env or {}):
        time.tzset()
    os.chdir(cwd or os.environ.get("AIRFLOW_HOME", "/"))
    recipe.settle()


def become(recipe, argv, call, env, cwd):
    """Runs the child's program; its exit code, as an interpreter would have it."""
    settle(recipe, env, cwd)
    sys.argv = [call or "airflow", *argv]
    if call is None:
        return recipe.main()
    module, _, function = call.partition(":")
    target = getattr(recipe, function) if module == "recipe" else getattr(importlib.import_module(module), function)
    return target()


def child_main(work):
    """Everything between the fork and the end of a child. Does not return."""
    rc = 1
    try:
        rc = work()
    except SystemExit as leaving:
        rc = leaving.code
        if rc is not None and not isinstance(rc, int):
            print(rc, file=sys.stderr)
            rc = 1
    except KeyboardInterrupt:
        rc = 130
    except BaseException:
        traceback.print_exc()
    try:
        # What the interpreter does before it goes, less the teardown of every module: that would touch,
        # and so copy, all the pages we share.
        threading._shutdown()
        import atexit

        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(rc & 0xFF if isinstance(rc, int) else 0)


READY = {}


def listen(path):
    """Binds the socket, readable for us alone; a socket left by a dead predecessor makes way."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def main():
    began = time.monotonic()
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--socket", required=True)
    arguments.add_argument("--recipe", required=True)
    arguments.add_argument("--grace", type=float, default=20.0)
    arguments.add_argument("--also")
    arguments.add_argument("--idle", type=float)
    options = arguments.parse_args()
    if options.idle is not None:
        # Away from the terminal that it was called from, and its signals.
        os.setsid()
    listener = listen(options.socket)
    prctl(SUBREAPER, 1)
    # Stdout is for the one line; whatever a library prints while it is imported goes to the log.
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    recipe = importlib.import_module(options.recipe)
    gc.disable()
    READY.update(recipe.warm())
    if options.also:
        importlib.import_module(options.also).warm()
    # Frozen objects are never traversed again, so a child's collector does not copy the shared pages.
    # Garbage is frozen too: collecting it would leave holes, and children would copy pages to fill them.
    gc.freeze()
    gc.enable()
    # The same for whatever our children fork: their collectors leave the inherited pages alone.
    os.register_at_fork(after_in_child=gc.freeze)
    READY.update(pid=os.getpid(), seconds=round(time.monotonic() - began, 3))
    zygote = Zygote(listener, recipe, options.grace, options.idle)
    with ready:
        print(json.dumps({"ready": READY}), file=ready)
    try:
        zygote.serve()
    except Fork as fork:
        os.setsid()
        prctl(DEATH_SIGNAL, signal.SIGKILL)
        zygote.let_go()
        child = fork.work
    else:
        try:
            os.unlink(options.socket)
        except FileNotFoundError:
            pass
        return
    del zygote, listener
    child_main(child)


if __name__ == "__main__":
    main()
