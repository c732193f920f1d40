"""A learner's file as graders see it: its names, its source, its faults in one line."""

import ast
import inspect
import linecache
import sys
import traceback
import types
from pathlib import Path

from .catalogue import Entry, KnockError, read
from .grader import Grader, Mistake


class Unwritten(Exception):
    """The answer, or this part of it, still waits to be written."""


class Answer:
    """A module whose functions are looked up as graders need them.

    A name that is missing, or a function with other parameters than the reference's,
    is a `Mistake` of the checks that need it, and of no other.
    """

    def __init__(self, module, source: str, reference=None):
        self._module, self.source, self._reference = module, source, reference

    def __getattr__(self, name):
        reference = getattr(self._reference, name, None)
        if not hasattr(self._module, name):
            raise Mistake(f"{name} is missing: was it deleted or renamed?", "missing")
        found = getattr(self._module, name)
        if reference is not None:
            _check_signature(name, found, reference)
        self.__dict__[name] = found  # looked up once: checks may call it in loops
        return found


def _check_signature(name, found, reference):
    if not callable(reference):
        return
    if not callable(found):
        kind = "class" if inspect.isclass(reference) else "function"
        raise Mistake(f"{name} must be a {kind}; got {type(found).__name__}", "kind")
    try:
        ours, theirs = inspect.signature(found), inspect.signature(reference)
    except (TypeError, ValueError):
        return
    if list(ours.parameters) != list(theirs.parameters):
        shown = ", ".join(theirs.parameters)
        raise Mistake(
            f"{name} must keep its parameters ({shown}); got "
            f"({', '.join(ours.parameters)})",
            "signature",
        )


def execute(source: str, filename: str, name: str) -> types.ModuleType:
    """Run a source text as a module; its lines show in tracebacks."""
    module = types.ModuleType(name)
    module.__file__ = filename
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    exec(compile(source, filename, "exec"), module.__dict__)
    return module


def load(entry: Entry, path: Path, reference=None) -> Answer:
    """The answer in the file at ``path``.

    Raises: Mistake if it is missing or does not run.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistake(
            f"{path.name} is missing; 'minidl reset {entry.name}' brings the stub back",
            "missing file",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{path.name} cannot be read: {error}", "unreadable") from None
    try:
        module = execute(source, str(path), f"minidl_knock_{entry.stem}")
    except SyntaxError as error:
        raise Mistake(_syntax(error, path), "syntax error") from None
    return Answer(module, source, reference)


def grader_of(entry: Entry):
    """The `Grader` that a knock's grader file calls ``knock``, with its reference.

    Raises: KnockError if the file is missing or has none.
    """
    source = read(entry.grader)
    module = execute(source, str(entry.grader), f"minidl_grader_{entry.stem}")
    knock = getattr(module, "knock", None)
    if not isinstance(knock, Grader):
        raise KnockError(f"{entry.grader}: must define knock = Grader(...)")
    return knock


def _syntax(error: SyntaxError, path) -> str:
    text = f"{path.name}, line {error.lineno}: {error.msg}"
    if error.text:
        line = error.text.rstrip("\n")
        text += f"\n    {line}"
        if error.offset:
            text += "\n    " + " " * (error.offset - 1) + "^"
    return text


def about(error: BaseException, path: Path, name: str) -> str:
    """An exception from an answer's code, with the frames of that code and no other."""
    if isinstance(error, NotImplementedError) and str(error).startswith(f"{name}: "):
        raise Unwritten(str(error)) from None
    if isinstance(error, SystemExit):
        return "your code ends the program (sys.exit, exit or quit): return instead"
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path):
            lines.append(f"    line {frame.lineno}, in {frame.name}: {frame.line}")
    if len(lines) > 6:
        lines = [*lines[:3], f"    ... {len(lines) - 5} more", *lines[-2:]]
    words = str(error) or "no message"
    hints = {
        RecursionError: "it calls itself without end",
        MemoryError: "it asks for more memory than a knock may have",
        EOFError: "it waits for input: there is nobody to type",
    }
    words = next((h for k, h in hints.items() if isinstance(error, k)), words)
    if not lines and isinstance(error, TypeError | AttributeError):
        words += "\n    (what came back cannot be worked with)"
    return "\n".join([f"your code raises {type(error).__name__}: {words}", *lines])


def names_of(source: str) -> list[str]:
    """The functions and classes that a module defines."""
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in ast.parse(source).body if isinstance(node, kinds)]
