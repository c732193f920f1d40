"""Grader of k006: no_grad and detach."""

from contextlib import contextmanager

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "What must you know at the end of a block that you can only see at its "
        "beginning? And which lines of a function run although an exception passes?",
        "In a function under @contextmanager, what stands before yield runs when the "
        "block begins, what stands after it when it ends. try: ... finally: ... runs "
        "its last part in any case.",
        "before = Value.recording; Value.recording = False; try: yield; finally: "
        "Value.recording = before. And detach makes Value(x.data): a Value that was "
        "given no history has none.",
    ],
)


class Stop(Exception):
    """An error of the block, not of the answer."""


@contextmanager
def switched(mine, on=True):
    """The switch stands at ``on`` to begin with, and is on for the next check."""
    mine.Value.recording = on
    try:
        yield
    finally:
        mine.Value.recording = True


class Notes:
    """What was seen, all of it; then the first that is not as it should be."""

    def __init__(self, mine):
        self.value, self.seen, self.wrong = mine.Value, [], None

    def see(self, received, expected, sentence):
        self.seen.append(float(received))
        if received != expected and self.wrong is None:
            self.wrong = sentence

    def records(self, expected, where):
        """Whether a product made right now has a history, and the switch says so."""
        y = self.value(2.0) * self.value(3.0)
        yes = "a result must remember its parents again"
        no = "a result must have no history"
        self.see(len(y.history) > 0, expected, f"{where}, {yes if expected else no}")
        self.see(
            self.value.recording,
            expected,
            f"{where}, Value.recording must be {expected}; got {self.value.recording}",
        )

    def end(self):
        checks.true(self.wrong is None, self.wrong, np.array(self.seen))


@knock.check("inside of a block results have no history; after it they have one")
def block(mine, r):
    notes = Notes(mine)
    with switched(mine):
        a, b = mine.Value(r(2)), mine.Value(r(2))
        with mine.no_grad():
            notes.records(False, "inside of the block")
            y = a * b
        notes.records(True, "after the block")
        same = np.array_equal(y.data, a.data * b.data)
        notes.see(same, True, "inside of the block, a * b must still be a * b")
        y = a * b + a
        slope = derivative(y, a)
        right = np.allclose(slope, b.data + 1)
        notes.see(right, True, "after the block, d(a b + a)/da must be b + 1")
    notes.end()


@knock.check("the switch stands where it stood before: blocks in blocks", points=2)
def nested(mine, r):
    notes = Notes(mine)
    with switched(mine):
        early = mine.no_grad()  # made here, but begun inside of another block
        notes.records(True, "after no_grad() alone, before any with")
        with mine.no_grad():
            with mine.no_grad():
                with mine.no_grad():
                    notes.records(False, "inside of three blocks")
                notes.records(False, "after the innermost of three blocks")
            notes.records(False, "after the inner blocks, still inside of the outer")
            with early:
                notes.records(False, "inside of a block within a block")
            notes.records(False, "after a block within a block")
        notes.records(True, "after the outer block")
        with mine.no_grad():
            notes.records(False, "inside of a second block")
        notes.records(True, "after a second block")
    with switched(mine, on=False):
        with mine.no_grad():
            notes.records(False, "with the switch off, inside of a block")
        notes.records(False, "after a block that began with the switch off")
    notes.end()


@knock.check("an exception ends the block, reaches the caller, and the switch is right")
def exceptions(mine, r):
    notes = Notes(mine)
    kinds = Stop, ValueError, KeyboardInterrupt, GeneratorExit
    for kind in (Stop, *kinds, Stop):
        name = kind.__name__ if kind is not Stop else "an error"
        with switched(mine):
            error = kind("of the block")
            notes.see(_caught(mine, error) is error, True, f"{name} raised inside of "
                      "the block must reach the caller")
            notes.records(True, f"after a block that {name} ended")
        with switched(mine):
            with mine.no_grad():
                _caught(mine, kind("of the inner block"))
                notes.records(False, f"after an inner block that {name} ended")
            notes.records(True, "after the outer block")

    def early():
        with mine.no_grad():
            return 5

    with switched(mine):
        notes.see(early() == 5, True, "return inside of a block must return")
        notes.records(True, "after a block that return ended")
    notes.end()


def _caught(mine, error):
    try:
        with mine.no_grad():
            raise error
    except type(error) as caught:
        return caught
    return None


@knock.check("a detached value: the same memory, no history, the original untouched")
def detached(mine, r):
    notes = Notes(mine)
    shapes = [(3,), (), (2, 2), (1,)]
    for number, shape in enumerate(shapes):
        with switched(mine):
            a = mine.Value(np.asarray(r(*shape), "f4") if number == 2 else r(*shape))
            x = a * mine.Value(r(*shape).astype(a.data.dtype)) if number % 2 else a
            before, data = list(x.history), x.data
            d = mine.detach(x)
            checks.true(
                isinstance(d, mine.Value),
                f"detach(x) must give a Value; got {type(d).__name__}",
                type(d).__name__,
            )
            notes.see(d is not x, True, "detach(x) must be a new Value; got x itself")
            notes.see(len(d.history), 0, "detach(x) must have no history")
            kept = x.history == before and x.data is data
            notes.see(kept, True, "x must keep its data and its history")
            equal = isinstance(d.data, np.ndarray) and np.array_equal(d.data, x.data)
            notes.see(equal, True, "detach(x).data must be the numbers of x")
            kind = getattr(d.data, "dtype", None) == x.data.dtype
            notes.see(kind, True, "detach(x).data must have the dtype of x")
            shared = equal and d.data.shape == shape
            if shared and x.data.flags.writeable:
                x.data[...] = 7
                shared = bool((d.data == 7).all())
            notes.see(shared, True, "detach(x) must share the memory of x, not copy it")
    views = r(2, 3).T, r(6)[::2], r(3)[::-1], r(2, 3, 2)[:, 1], r.integers(9, 3, 2).T
    for data in views:
        with switched(mine):
            x = mine.Value(data)
            d = mine.detach(x).data
            alike = getattr(d, "shape", None) == data.shape and d.dtype == data.dtype
            alike = alike and np.array_equal(d, data)
            notes.see(alike, True, "detach(x) must keep the numbers of a view")
            data[...] = 7
            shared = alike and bool((d == 7).all())
            notes.see(shared, True, "detach(x) must share the memory of x, not copy "
                      "it, also if x.data is a view with other strides")
    notes.end()


@knock.check("no derivative flows through a detached value; the switch is left alone")
def flow(mine, r):
    notes = Notes(mine)
    with switched(mine):
        x, w = mine.Value(r(3)), mine.Value(r(3))
        y = x * mine.detach(x)
        slope = derivative(y, x)
        right = np.allclose(slope, x.data)
        notes.see(right, True, "with y = x * detach(x), dy/dx must be x")
        h = x * w
        y = mine.detach(h) * w + h
        slopes = derivative(y, x), derivative(y, w)
        right = np.allclose(slopes[0], w.data)
        notes.see(right, True, "with h = x w and y = detach(h) w + h, dy/dx must be w")
        right = np.allclose(slopes[1], h.data + x.data)
        notes.see(right, True, "with h = x w and y = detach(h) w + h, dy/dw must be "
                  "h + x")
        notes.records(True, "after detach")
        with mine.no_grad():
            d = mine.detach(h)
            notes.see(len(d.history), 0, "detach(x) in a block must have no history")
            notes.records(False, "after detach inside of a block")
        notes.records(True, "after that block")
    notes.end()


def derivative(y, x):
    """dy/dx over all paths."""
    if y is x:
        return np.ones_like(x.data)
    return sum(slope * derivative(parent, x) for parent, slope in y.history)


knock.wrong(
    "no effect",
    "your block changes nothing: Value.recording must be False while it runs",
    ("    Value.recording = False\n", "    Value.recording = Value.recording\n"),
)
knock.wrong(
    "never put back",
    "the switch stays off after the block: put it back to what it was",
    ("        Value.recording = before\n", "        pass\n"),
)
knock.wrong(
    "switched on at the end",
    "the end of an inner block switches recording on, though the outer block still "
    "runs: put back what was before, not True",
    ("        Value.recording = before\n", "        Value.recording = True\n"),
)
knock.wrong(
    "toggled",
    "your block turns the switch over, so that a block in a block records: it must be "
    "off, whatever it was",
    ("    Value.recording = False\n", "    Value.recording = not Value.recording\n"),
)
knock.wrong(
    "lost by an exception",
    "an exception in the block leaves the switch off for good: put it back in a "
    "finally clause",
    ("    try:\n        yield", "    if True:\n        yield"),
    ("    finally:\n", "    if True:\n"),
)
knock.wrong(
    "swallowed",
    "an exception raised in the block never reaches the caller: no_grad must not catch "
    "it",
    ("    finally:\n", "    except BaseException:\n        pass\n    finally:\n"),
)
knock.wrong(
    "only ordinary errors",
    "only subclasses of Exception put the switch back; KeyboardInterrupt and others "
    "pass it by: use finally",
    ("    finally:\n", "    except Exception:\n        Value.recording = before\n"
     "        raise\n    else:\n"),
)
knock.wrong(
    "copied",
    "a detached value has memory of its own: share the data of x, a copy costs as much "
    "memory as the graph was to save",
    ("return Value(x.data)", "return Value(x.data.copy())"),
)
knock.wrong(
    "original emptied",
    "you empty the history of x itself: every other result made from x loses its past",
    ("return Value(x.data)", "x.history = []\n    return Value(x.data)"),
)
knock.wrong(
    "history kept",
    "your detached value still has the history of x, so derivatives flow on",
    ("return Value(x.data)", "return Value(x.data, x.history)"),
)
knock.wrong(
    "nothing done",
    "you give x itself back: a value from which the path to x is cut must be a new one",
    ("return Value(x.data)", "return x"),
)
knock.wrong(
    "detach switches on",
    "detach leaves recording switched on, even in the middle of a no_grad block",
    (
        "return Value(x.data)",
        "Value.recording = False\n    y = Value(x.data)\n    Value.recording = True\n"
        "    return y",
    ),
)
knock.wrong(
    "copied if it is a view",
    "the data is laid out afresh, which copies it if it is a view, such as a "
    "transposed array: hand on x.data as it is",
    ("return Value(x.data)", 'return Value(np.asarray(x.data, order="C"))'),
)
knock.wrong(
    "counted",
    "you count open blocks and switch on at the end of the last; the switch may have "
    "been off before the first: put back what was there",
    (
        "    before = Value.recording\n",
        "    no_grad.open = getattr(no_grad, 'open', 0) + 1\n",
    ),
    (
        "        Value.recording = before\n",
        "        no_grad.open -= 1\n        Value.recording = no_grad.open == 0\n",
    ),
)
