"""The authors' tools: stubs are made from solutions, and never the other way round."""

import ast
from pathlib import Path

from ..files import atomic_write
from .catalogue import MARK, STEM, Entry, KnockError, all_knocks, read


def _functions(tree):
    """Every function with its dotted name and its source lines."""

    def walk(node, names):
        for child in ast.iter_child_nodes(node):
            kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if isinstance(child, kinds):
                inner = [*names, child.name]
                if not isinstance(child, ast.ClassDef):
                    yield ".".join(inner), child
                yield from walk(child, inner)
            else:
                yield from walk(child, names)

    return list(walk(tree, []))


def stub_of(text: str, name: str, where: str = "solution") -> str:
    """A solution's text without its answers: each gives way to NotImplementedError.

    An answer reaches from the comment `MARK` to the end of the function around it.

    Raises: KnockError if there is no answer, or a mark is outside of all functions.
    """
    lines = text.split("\n")
    marks = [i for i, line in enumerate(lines, 1) if line.strip() == MARK]
    if not marks:
        raise KnockError(f"{where}: no line says '{MARK}': nothing is left to write")
    functions = _functions(ast.parse(text))
    for mark in reversed(marks):
        around = [
            (node.lineno, name_, node.end_lineno)
            for name_, node in functions
            if node.lineno < mark <= node.end_lineno
        ]
        if not around:
            raise KnockError(f"{where}, line {mark}: '{MARK}' must be in a function")
        _, function, end = max(around)
        space = " " * (len(lines[mark - 1]) - len(lines[mark - 1].lstrip()))
        todo = f'{space}raise NotImplementedError("{name}: write {function}")'
        lines[mark - 1 : end] = [todo]
    return "\n".join(lines)


def stub(entry: Entry) -> str:
    """The stub that belongs to a knock's solution."""
    return stub_of(entry.text, entry.name, str(entry.solution))


def drifted(entries: list[Entry]) -> list[Entry]:
    """The knocks whose exercise is not the stub of the solution."""
    return [
        entry
        for entry in entries
        if not entry.exercise.is_file() or read(entry.exercise) != stub(entry)
    ]


def sync(root: Path, force: bool = False) -> tuple[list[Entry], list[Entry]]:
    """Write the stubs that are missing or out of step: (written, left alone).

    An exercise that somebody has begun is left alone unless ``force``.
    """
    written, left = [], []
    for entry in drifted(all_knocks(root)):
        if not force and entry.exercise.is_file() and begun(entry):
            left.append(entry)
        else:
            atomic_write(entry.exercise, stub(entry))
            written.append(entry)
    return written, left


def begun(entry: Entry) -> bool:
    """Whether a function that waited to be written in an exercise waits no more."""
    try:
        tree = ast.parse(read(entry.exercise))
    except SyntaxError:
        return True
    there = dict(_functions(tree))
    todo = [f for f, node in _functions(ast.parse(stub(entry))) if _waits(node, entry)]
    return any(f in there and not _waits(there[f], entry) for f in todo)


def _waits(node, entry) -> bool:
    """Whether a function does nothing but say that it is to be written."""
    body = node.body[ast.get_docstring(node) is not None :]
    beginning = f"raise NotImplementedError('{entry.name}: write "
    return len(body) == 1 and ast.unparse(body[0]).startswith(beginning)


SOLUTION = '''"""{name}: Title

** | 15 minutes | after nothing

What to do, in two sentences.

    y = the equation

Shapes: x (N, C), y (N,).
Source: authors, "title", year, equation.
"""

import numpy as np


def solve(x):
    """y (N,) of x (N, C)."""
    {mark}
    return np.asarray(x).sum(axis=1)
'''

GRADER = '''"""Grader of {name}."""

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "A nudge.",
        "Which idea helps.",
        "Nearly the answer.",
    ],
)


@knock.check("solve(x) agrees with a loop on random shapes")
def value(mine, r):
    x = r(r.size(1, 5), r.size(1, 5))
    checks.value(mine.solve, lambda x: x.sum(1), x)


knock.wrong("wrong axis", "You add up over ...", ("axis=1", "axis=0"))
'''


def new(root: Path, name: str, track: str, title: str = "title") -> Entry:
    """Start a knock: a solution, its grader, its stub.

    Raises: KnockError if ``name`` is taken or malformed.
    """
    stem = name if STEM.fullmatch(name) else f"{name}_{title}"
    if not STEM.fullmatch(stem):
        raise KnockError(f"author new: name must be like k042_fwht; got {name!r}")
    entry = Entry(root, track, stem)
    taken = [e.stem for e in all_knocks(root) if e.name == entry.name]
    if taken:
        raise KnockError(f"author new: {entry.name} is taken by {taken[0]}")
    atomic_write(entry.solution, SOLUTION.format(name=entry.name, mark=MARK))
    atomic_write(entry.grader, GRADER.format(name=entry.name))
    atomic_write(entry.exercise, stub(entry))
    return entry
