"""Holds a process of the service at an exact moment, until it is killed or let go on. Python runs this at its start.

CRASH_MATRIX_HOLDS names a folder (`holds.py` is the other side):

    points    the functions that can be held at, one `module:qualified.name` a line
    armed     where to hold next: `role module:qualified.name before|after number`, of the calls since then
    held-PID  what `armed` becomes when the process gets there: its thread waits as long as the file is there
"""

import functools
import importlib.machinery
import importlib.util
import os
import sys
import time
from pathlib import Path

_HERE = str(Path(__file__).parent)
_FOLDER = os.environ.get("CRASH_MATRIX_HOLDS")
_calls = {}


def _hold(point):
    try:
        armed = (Path(_FOLDER) / "armed").read_text()
    except FileNotFoundError:
        _calls.clear()
        return
    *where, number = armed.split()
    if where != [sys.argv[-1], *point]:  # thoracle serve ... --role worker
        return
    _calls[armed] = _calls.get(armed, 0) + 1
    if _calls[armed] < int(number):
        return
    held = Path(_FOLDER) / f"held-{os.getpid()}"
    try:
        os.rename(Path(_FOLDER) / "armed", held)  # noqa: PTH104 - Path.rename may be held itself
    except FileNotFoundError:
        return  # another thread or process got there first
    while held.exists():
        time.sleep(0.005)


def _held_at(name, function):
    @functools.wraps(function)
    def wrapped(*arguments, **named):
        _hold([name, "before"])
        answer = function(*arguments, **named)
        _hold([name, "after"])
        return answer

    return wrapped


def _wrap(module, points):
    for point in points:
        *owners, last = point.partition(":")[2].split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, last, _held_at(point, getattr(owner, last)))
    if module.__name__ == "service.ops.supervisor":
        module._STEADY_AFTER_S = 0  # deaths follow each other here; the wait before a restart must not grow


class _Finder:
    """Wraps the functions of a module when it is imported."""

    def __init__(self, points):
        self._points = points

    def find_spec(self, name, path=None, _target=None):
        here = [point for point in self._points if point.partition(":")[0] == name]
        if not here and name != "service.ops.supervisor":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _wrap(module, here)

        spec.loader.exec_module = exec_module
        return spec


def _run_the_one_we_hide():
    others = [entry for entry in sys.path if entry and Path(entry).resolve() != Path(_HERE).resolve()]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_run_the_one_we_hide()
if _FOLDER:
    _points = (Path(_FOLDER) / "points").read_text().split()
    for _name in {point.partition(":")[0] for point in _points} & set(sys.modules):
        _wrap(sys.modules[_name], [point for point in _points if point.partition(":")[0] == _name])
    sys.meta_path.insert(0, _Finder(_points))
