"""`windtunnel run` inside the warm interpreter: one run of a DAG, shown as it goes.

    {"kind": "run", "call": "windtunnel_show:main", "argv": [REQUEST]}

REQUEST (JSON): dag_id, dags, plugins, conf, logical_date, task, from, mark_success, logs (true: all, or the name of a
task), record, diff (files), json (true: the result as JSON instead of text).
"""

import json
import os
import sys
import traceback

import windtunnel_run

MARKS = {"success": "✓", "failed": "✗", "upstream_failed": "✗", "skipped": "-", "up_for_retry": "↻", None: " "}
COLORS = {"success": 32, "failed": 31, "upstream_failed": 31, "running": 36, "skipped": 35, "up_for_retry": 33}

# XComs longer than this are cut where they are shown.
SHOWN_MAX = 120


class Show(windtunnel_run.Observer):
    """The tree of tasks, with state and time. On a terminal it is drawn over; elsewhere a line says each end."""

    def __init__(self, out, live):
        self.out = out
        self.live = live
        self.color = out.isatty()
        self.order = []
        self.running = None
        self.drawn = 0

    def paint(self, text, state):
        code = COLORS.get(state)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code else text

    def began(self, run, dag):
        depth = {}
        for task in dag.topological_sort():
            depth[task.task_id] = max((depth.get(up, 0) + 1 for up in task.upstream_task_ids), default=0)
            self.order.append(task.task_id)
        self.depth = depth
        self.width = max((2 * depth[task_id] + len(task_id) for task_id in self.order), default=0)
        self.draw(run)

    def task_began(self, run, task):
        self.running = task.key
        self.draw(run)

    def task_ended(self, run, task):
        self.running = None
        if self.live:
            self.draw(run)
        else:
            self.line(task, task.state)

    def ended(self, run):
        for task in run.tasks.values():
            if not self.live and not task.tries:
                self.line(task, task.state)
        self.draw(run)

    def line(self, task, state):
        name = "  " * self.depth.get(task.task_id, 0) + task.key
        took = f"{task.seconds:.2f} s" if task.tries else ""
        tries = f"  ({task.tries} tries)" if task.tries > 1 else ""
        mark = "▸" if state == "running" else MARKS.get(state, "·")
        words = f"{mark} {name:<{self.width}}  {state or '':<15} {took:>8}{tries}"
        self.out.write(self.paint(words.rstrip(), state) + "\n")

    def draw(self, run):
        if not self.live:
            return
        if self.drawn:
            self.out.write(f"\x1b[{self.drawn}A\x1b[J")
        self.drawn = 0
        for task_id in self.order:
            tasks = [task for task in run.tasks.values() if task.task_id == task_id] or [windtunnel_run.Task(task_id)]
            for task in tasks:
                self.line(task, "running" if task.key == self.running else task.state)
                self.drawn += 1
        self.out.flush()


def shown(value):
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def failures(run, dag, roots, out):
    """Each failure: what, where in the user's own code, what the task was given."""
    for task in run.tasks.values():
        if task.state not in ("failed",) or task.error is None:
            continue
        words = "".join(traceback.format_exception_only(task.error)[-1:]).strip()
        out.write(f"\nerror: task `{task.key}` failed: {words}\n")
        file, line = roots.place(task.error)
        if file:
            out.write(f" --> {os.path.relpath(file, os.environ.get('WINDTUNNEL_CALLED_IN', '.'))}:{line}\n")
            source = source_line(file, line)
            if source:
                margin = " " * len(str(line))
                out.write(f"{margin} |\n{line} | {source}\n{margin} |\n")
        for upstream in sorted(dag.get_task(task.task_id).upstream_task_ids):
            for key, values in run.xcoms.items():
                if key == upstream or key.startswith(f"{upstream}["):
                    for name, value in values.items():
                        out.write(f"  = given: {key}.{name} = {shown(value)}\n")


def source_line(file, line):
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            return source.read().splitlines()[line - 1].rstrip()
    except (OSError, IndexError):
        return None


def plain(value):
    """A value as a recording keeps it: JSON, or what it looks like."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return {"repr": repr(value)}


def recording(run, options):
    return {
        "dag_id": run.dag_id,
        "logical_date": options["logical_date"],
        "conf": options["conf"],
        "state": run.state,
        "tasks": {
            key: {"state": task.state, "xcoms": plain(run.xcoms.get(key, {})), "rendered": plain(run.rendered.get(key, {}))}
            for key, task in sorted(run.tasks.items())
        },
    }


def differences(before, now, path=""):
    """(where, before, now) for all that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif before != now:
        yield path, before, now


def moment(text):
    import pendulum

    from airflow.utils import timezone

    moment = pendulum.parse(text)
    return timezone.convert_to_utc(moment)


def choose(dag, options):
    if options["task"]:
        return windtunnel_run.part(dag, [options["task"]])
    if options["from"]:
        return windtunnel_run.part(dag, [options["from"]], downstream=True)
    return dag


def services():
    """AWS for the tasks: the running windtunnel's, or one for this run alone."""
    import windtunnel_pytest

    return windtunnel_pytest.Services().start()


def main():
    options = json.loads(sys.argv[1])
    out = sys.stdout
    recorded = None
    if options["diff"]:
        with open(options["diff"]) as file:
            recorded = json.load(file)
        options["logical_date"] = options["logical_date"] or recorded["logical_date"]
        options["conf"] = recorded["conf"] if options["conf"] is None else options["conf"]
    if options["record"] and not options["logical_date"]:
        # So that a later run with the same date can be compared: templates are full of dates.
        from airflow.utils import timezone

        options["logical_date"] = timezone.utcnow().isoformat()
    try:
        dag = windtunnel_run.find(options["dag_id"], options["dags"])
        part = choose(dag, options)
    except (windtunnel_run.NoSuchDag, KeyError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2
    quiet = options["json"]
    live = not quiet and out.isatty() and not options["logs"]
    observer = None if quiet else Show(out, live)
    aws = services()
    try:
        run = windtunnel_run.run(
            part,
            conf=options["conf"],
            logical_date=moment(options["logical_date"]) if options["logical_date"] else None,
            mark_success=options["mark_success"],
            observer=observer,
            echo=out if options["logs"] is True and not quiet else None,
        )
    finally:
        aws.stop()
    return tell(run, dag, options, recorded, out)


def tell(run, dag, options, recorded, out):
    import windtunnel_probe

    result = recording(run, options)
    if options["json"]:
        for key, task in run.tasks.items():
            error = task.error and "".join(traceback.format_exception_only(task.error)[-1:]).strip()
            result["tasks"][key].update(seconds=round(task.seconds, 4), tries=task.tries, log=task.log, error=error)
        result.update(run_id=run.run_id, seconds=round(run.seconds, 4))
        out.write(json.dumps(result) + "\n")
    else:
        if isinstance(options["logs"], str):
            task = run.tasks.get(options["logs"])
            out.write(f"\n--- log of {options['logs']}\n{task.log if task else 'it was not run'}\n")
        failures(run, dag, windtunnel_probe.Roots(options["dags"], options["plugins"]), out)
        out.write(f"\n{run.dag_id}: {run.state} in {run.seconds:.2f} s\n")
        if run.succeeded:
            for key, values in run.xcoms.items():
                out.write("".join(f"  {key}.{name} = {shown(value)}\n" for name, value in values.items()))
    if options["record"]:
        with open(options["record"], "w") as file:
            json.dump(result, file, indent=2, sort_keys=True)
    if recorded is not None:
        found = list(differences(recorded["tasks"], recording(run, options)["tasks"]))
        for where, before, now in found:
            out.write(f"differs: {where}: {shown(before)} -> {shown(now)}\n")
        if not found and not options["json"]:
            out.write(f"the same as {options['diff']}\n")
        return 1 if found else 0
    return 0 if run.succeeded else 1
