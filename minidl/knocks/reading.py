"""Checks of how an answer is written: what it calls, and how many lines it runs."""

import ast
import sys

from .grader import Mistake


def steps(f, few, many, what: str, over="places"):
    """``f(*many)`` may not run through many more lines than ``f(*few)``: no loop.

    ``few`` and ``many``: arguments of a small and of a large problem. Only the lines
    of the file of ``f`` are counted; that is exact, unlike a timing.
    """
    few, many = _lines(f, few), _lines(f, many)
    text = f"{what} runs through {few} lines of your code for a small input and through"
    text += f" {many} for a large one: it loops over {over}"
    if many > 1.5 * few:
        raise Mistake(text, over)


def _lines(f, args) -> int:
    count, before = 0, sys.gettrace()
    file = getattr(getattr(f, "__code__", None), "co_filename", None)

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename == file else None

    sys.settrace(trace)
    try:
        f(*args)
    finally:
        sys.settrace(before)
    return count


def banned(mine, *names: str, loops=False, inside: str | None = None):
    """The answer's source may not use some names, nor loops if ``loops``.

    ``names``: "np.convolve", "einsum"; ``inside``: only in that function. A name that
    was imported under another one is the same. This guards against accident, not
    against intent.
    """
    tree = ast.parse(mine.source)
    imported = _imported(tree)
    if inside is not None:
        kinds = ast.FunctionDef | ast.ClassDef
        tree = next(
            (n for n in ast.walk(tree) if isinstance(n, kinds) and n.name == inside),
            ast.Module([], []),
        )
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        first, dot, rest = text.partition(".")
        text = imported.get(first, first) + dot + rest
        found = [n for n in names if text == n or text.endswith(f".{n}")]
        if found:
            raise Mistake(
                f"line {node.lineno}: {found[0]} is not allowed in this knock", found[0]
            )
        if loops and isinstance(node, ast.For | ast.While | ast.comprehension):
            line = getattr(node, "lineno", None) or node.target.lineno
            raise Mistake(f"line {line}: no loops in this knock", "loop")


def _imported(tree) -> dict[str, str]:
    """What each imported name stands for; numpy is np."""
    found = {"numpy": "np"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for alias in node.names:
                full = f"{module}.{alias.name}" if module else alias.name
                if full.split(".")[0] == "numpy":
                    full = "np" + full.removeprefix("numpy")
                if alias.asname or module:
                    found[alias.asname or alias.name] = full
    return found
