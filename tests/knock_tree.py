"""A tiny tree of three knocks, for tests of the board and its commands."""

from minidl import knocks
from minidl.knocks import all_knocks, author, board, progress
from minidl.knocks.runner import Result, Verdict

SOLUTION = '''"""{name}: {title}

{stars} | {minutes} minutes | after {needs}

    y = {equation}
"""


def {function}(x):
    """y of x."""
    # answer
    return {equation}
'''
GRADER = '''"""Grader of {name}."""

from minidl.knocks import Grader, checks

knock = Grader(hints=["a nudge", "an idea", "nearly {equation}"])


@knock.check("{function} of one number")
def one(mine, r):
    x = r(1)
    checks.value(mine.{function}, lambda x: {equation}, x)


@knock.check("{function} of many [numbers]", points=2)
def many(mine, r):
    x = r(2, 3)
    checks.value(mine.{function}, lambda x: {equation}, x)


knock.wrong("too much", "you add one", ("return {equation}", "return {equation} + 1"))
'''
KNOCKS = (
    ("a_first", "k001", "twice", "Twice a number", "*", 5, "nothing", "2 * x"),
    ("a_first", "k002", "square", "Its square", "**", 10, "k001", "x * x"),
    ("b_second", "k003", "cube", "Its cube, which is a title too long for narrow "
     "terminals", "***", 15, "k002", "x * x * x"),
)  # fmt: skip


def plant(root):
    """Write the knocks below ``root``, with their stubs; returns ``root``."""
    for track, name, function, title, stars, minutes, needs, equation in KNOCKS:
        fields = dict(
            name=name,
            function=function,
            title=title,
            stars=stars,
            minutes=minutes,
            needs=needs,
            equation=equation,
        )
        write(root / "solutions" / track / f"{name}_{function}.py", SOLUTION, fields)
        grader = root / "tests" / "knocks" / track / f"test_{name}_{function}.py"
        write(grader, GRADER, fields)
    (root / "exercises").mkdir()
    author.sync(root)
    return root


def write(path, template, fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(template.format(**fields))


def solve(root, *names):
    """Write the solutions of some knocks into the exercises."""
    for entry in all_knocks(root):
        if entry.name in names:
            entry.exercise.write_text(entry.text)


def verdict(name, *states, messages=("",) * 9):
    """What grading might have found: one check for each state."""
    checks = zip(states, messages)
    return Verdict(name, 7, [Result(s, f"check {s}", 1, s, m) for s, m in checks])


def note(root, name, *states):
    """Write such a verdict into the progress."""
    progress.note(root, {knocks.find(name, root): verdict(name, *states)})


def states(root):
    """The states of the knocks on the board, in order."""
    return [row.state for row in board.gather(root).rows]
