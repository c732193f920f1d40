"""Two knocks, the second built on the first, to test grading and proving on."""

from minidl.knocks import author
from minidl.knocks.catalogue import all_knocks

SOLUTION = '''"""k901: Scale and sum

** | 5 minutes | after nothing

    y = a * x,   s = sum of x

Shapes: x (N,).
Source: a test.
"""

import numpy as np


def scale(x, a):
    """a * x."""
    # answer
    return a * x


def scale_backward(g, x, a):
    """Gradients by x and by a."""
    # answer
    return g * a, (g * x).sum()


def total(x):
    """The sum, as an array without axes."""
    # answer
    return np.asarray(x.sum())
'''

GRADER = '''"""Grader of k901."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(hints=["multiply", "by a", "return a * x"])


@knock.check("scale(x, a) multiplies", points=2)
def value(mine, r):
    checks.value(mine.scale, lambda x, a: a * x, r(r.size(3, 6)), 3.0)


@knock.check("the gradients of scale")
def gradient(mine, r):
    x = r(r.size(3, 6))
    checks.gradient(mine.scale_backward, lambda x, a: a * x, x, np.asarray(2.5), r=r)


@knock.check("total(x) adds up")
def total(mine, r):
    checks.value(mine.total, lambda x: np.asarray(x.sum()), r(r.size(3, 6)))


knock.wrong("sign", "the sign is wrong", ("return a * x", "return -a * x"))
knock.wrong("added", "a is added, not multiplied", ("return a * x", "return a + x"))
knock.wrong(
    "upstream",
    "g is ignored",
    ("return g * a, (g", "return a + 0 * g, (np.ones_like(g)"),
)
knock.wrong("no sum", "a is shared: add up", ("(g * x).sum()", "g * x"))
knock.wrong("mean", "a mean, not a sum", ("asarray(x.sum())", "asarray(x.mean())"))
'''

SECOND = '''"""k902: Twice

* | 5 minutes | after k901

Source: a test.
"""

from solutions.t_tests.k901_scale import scale


def twice(x):
    """2 x, by k901's scale."""
    # answer
    return scale(x, 2.0)
'''

SECOND_GRADER = '''"""Grader of k902."""

from minidl.knocks import Grader, checks

knock = Grader(hints=["a", "b", "c"])


@knock.check("twice(x) is 2 x")
def value(mine, r):
    checks.value(mine.twice, lambda x: 2 * x, r(r.size(2, 5)))


for k, text in enumerate(("3.0", "-2.0", "0.5", "1.0", "4.0")):
    knock.wrong(f"by {text}", f"it is {text} times", ("x, 2.0", f"x, {text}"))
'''


def build(root):
    """The tree in ``root``, its stubs written; returns the entries."""
    texts = {"k901_scale": (SOLUTION, GRADER), "k902_twice": (SECOND, SECOND_GRADER)}
    for stem, (solution, grader) in texts.items():
        for folder, name, text in (
            ("solutions", f"{stem}.py", solution),
            ("tests/knocks", f"test_{stem}.py", grader),
        ):
            path = root / folder / "t_tests" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (root / "exercises").mkdir()
    author.sync(root)
    return all_knocks(root)


def answered(text: str, **bodies: str) -> str:
    """A stub with some functions written: name="body"."""
    for name, body in bodies.items():
        empty = f'raise NotImplementedError("k901: write {name}")'
        assert empty in text, name
        text = text.replace(empty, body.replace("\n", "\n    "))
    return text


RIGHT = dict(
    scale="return a * x",
    scale_backward="return g * a, (g * x).sum()",
    total="return np.asarray(x.sum())",
)
