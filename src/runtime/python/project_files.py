"""What both majors' recipes know about the project's own files: which modules and which lines are the user's."""

import os
import re
import sys
import traceback

# A frame of a formatted traceback; a SyntaxError's own place has no function.
FRAME = re.compile(r'^ *File "([^"]+)", line (\d+)', re.MULTILINE)


class Recorder:
    """Stands in for `traceback` in Airflow's DAG bag, to keep the exception behind each formatted text.

    Airflow stores only the last two frames; the user's own may be further up.
    """

    def __init__(self):
        self.errors = {}

    def format_exc(self, *args, **kwargs):
        text = traceback.format_exc(*args, **kwargs)
        self.errors[text] = sys.exc_info()[1]
        return text

    def __getattr__(self, name):
        return getattr(traceback, name)


def user_modules(folders):
    """Modules that came from the project's folders. Must be empty while warm; told so that a test can insist."""
    roots = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    files = ((name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items()))
    return sorted(name for name, file in files if file and os.path.realpath(file).startswith(roots))


def located(path, text, error, folders):
    """An import error of `path` with the last place in the user's `folders` that led to it."""
    if error is not None:
        text_of_frames = "".join(traceback.format_exception(error))
        message = "".join(traceback.format_exception_only(error)[-1:]).strip()
    else:
        text_of_frames = text
        message = text.strip().splitlines()[-1] if text.strip() else "unknown error"
    roots = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    places = [(file, int(line)) for file, line in FRAME.findall(text_of_frames)]
    mine = [(file, line) for file, line in places if os.path.realpath(file).startswith(roots)]
    file, line = mine[-1] if mine else (path, None)
    return {"message": message, "file": file, "line": line, "traceback": text_of_frames}
