"""What the engine does besides computing: recording the graph, watching every op.

The mode is a context variable, so that neither a thread nor a task sees another's.
"""

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import NamedTuple

from . import checks


class Mode(NamedTuple):
    """Whether ops record the graph, and who is told of every op that ran."""

    record: bool = True
    watchers: tuple[Callable, ...] = ()


mode: ContextVar[Mode] = ContextVar("mode", default=Mode())


class Switch(ContextDecorator):
    """A context manager and decorator that changes the mode of its block."""

    def __init__(self, record: bool | None = None, watchers: tuple = ()):
        self.record, self.watchers, self.tokens = record, watchers, []

    def _recreate_cm(self):  # a new one per call: threads share a decorated function
        return Switch(self.record, self.watchers)

    def __enter__(self):
        record, watchers = mode.get()
        record = record if self.record is None else self.record
        self.tokens.append(mode.set(Mode(record, watchers + self.watchers)))

    def __exit__(self, *exc):
        mode.reset(self.tokens.pop())


def no_grad() -> Switch:
    """Record no graph inside: results require no gradient."""
    return Switch(record=False)


def enable_grad() -> Switch:
    """Record the graph inside, also within `no_grad`."""
    return Switch(record=True)


def is_grad_enabled() -> bool:
    """Whether ops record the graph here."""
    return mode.get().record


def watch_ops(watcher: Callable) -> Switch:
    """Inside, call ``watcher(op, arrays, options, y)`` after every op, on arrays."""
    return Switch(watchers=(watcher,))


def detect_anomaly() -> Switch:
    """Inside, raise AnomalyError naming the op that first makes a NaN or inf."""
    return watch_ops(checks.check_finite)
