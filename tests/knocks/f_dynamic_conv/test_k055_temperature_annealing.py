"""Grader of k055: temperature annealing."""

from fractions import Fraction

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Which part of the way down is done after `epoch` epochs? What is that number "
        "after more than `epochs` of them?",
        "done = min(epoch / epochs, 1) goes from 0 to 1 and stays there; T is a mean "
        "of start and end with the weights 1 - done and done. For steps, find the "
        "epoch first: a fraction, or rounded down.",
        "T = start * (1 - done) + end * done. epoch = step / steps_per_epoch by step, "
        "and step // steps_per_epoch by epoch; then temperature(epoch, start, end, "
        "epochs).",
    ],
)


def line(epoch, start, end, epochs):
    """In fractions: so much of the way from one to the other."""
    left = max(Fraction(epochs) - Fraction(epoch), Fraction(0))
    start, end = Fraction(start), Fraction(end)
    return float(end + (start - end) * left / Fraction(epochs))


def walked(step, steps_per_epoch, by_step, start, end, epochs):
    """The same, step by step or epoch by epoch."""
    begun = Fraction(step, steps_per_epoch)
    return line(begun if by_step else begun.__floor__(), start, end, epochs)


def ask(f, cases, right):
    """``f`` for all cases; the evidence of a mistake is all that came back."""
    found = []
    for args, options in cases:
        words = [*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())]
        title = f"{f.__name__}({', '.join(words)})"
        number = plain(checks.call(f, *args, **options), title)
        single = number.shape == () and number.dtype.kind in "fiu"
        kind = f"{number.dtype} of shape {number.shape}"
        text = f"{title}: a number must come back; got {kind}"
        checks.true(single, text, kind)
        found.append((title, float(number), right(*args, **options)))
    evidence = np.array([number for _, number, _ in found])
    slack = 1e-12 * max(expected for *_, expected in found)
    for title, number, expected in found:
        if not abs(number - expected) <= slack:
            text = f"{title} must be {expected:.15g}; got {number:.15g}"
            raise Mistake(text, evidence)
    return evidence


def default(epoch, start=30, end=1, epochs=10):
    return line(epoch, start, end, epochs)


def default_step(step, steps_per_epoch, by_step=False, start=30, end=1, epochs=10):
    return walked(step, steps_per_epoch, by_step, start, end, epochs)


def drawn(r):
    """start, end and epochs of any kind."""
    start, end = float(r.positive()) * r.choice([1, 20, 1000]), float(r.positive())
    return {"start": start, "end": end, "epochs": r.size(1, 30)}


@knock.check("temperature: 30 at first, 1 from epoch 10 on")
def usual(mine, r):
    cases = [((epoch,), {}) for epoch in (0, 10, 5, *range(1, 14), 29, 30, 31, 1000)]
    ask(mine.temperature, cases, default)


@knock.check(
    "temperature: other numbers, and epochs that are no whole numbers", points=2
)
def others(mine, r):
    f = mine.temperature
    ask(f, [((e,), {}) for e in (0.5, 9.75, 0.1, 1e-9, 10.5, 9.999999999)], default)
    for some in [drawn(r), drawn(r), drawn(r)]:
        n = some["epochs"]
        times = [0, n, n / 2, n / 3, n - 0.25, n + 1, 3 * n, 10 * n + 0.5, 40]
        times += [float(r.rng.random()) * n, r.size(0, 2 * n), float(r.rng.random())]
        ask(f, [((e,), some) for e in times], default)
        ask(f, [((e, *some.values()), {}) for e in times], default)
    for name, number in (("start", 7), ("end", 0.5), ("epochs", 3), ("epochs", 25)):
        ask(f, [((e,), {name: number}) for e in (0, 1, 2.5, 3, 7, 19, 60)], default)
    ask(f, [((e, 2, 8, 4), {}) for e in (0, 1, 2, 3, 4, 5)], default)  # up
    ask(f, [((e, 3.0, 3.0, 4), {}) for e in (0, 1.5, 4, 9)], default)  # level
    ask(f, [((e, 5, 2, 1), {}) for e in (0, 0.5, 1, 2)], default)
    ask(f, [((e, 1e6, 1e-3, 10), {}) for e in (0, 3, 9.5, 10, 11)], default)
    for start, end in ((1e9, 1e8), (1e-3, 1e-6), (1e-7, 2e-5)):  # large, tiny, up
        ask(f, [((e, start, end, 10), {}) for e in (0, 3, 9.5, 10, 11)], default)
    ask(f, [((e, 4, 2, 10**9), {}) for e in (1, 10**9 - 1, 10**9, 10**10)], default)


@knock.check("temperature_of_step: by epoch, the same during all of it", points=2)
def by_epoch(mine, r):
    stepwise(mine.temperature_of_step, r, False)


@knock.check("temperature_of_step: by step, a little less every time", points=2)
def by_step(mine, r):
    stepwise(mine.temperature_of_step, r, True)


def stepwise(f, r, way):
    """All steps of some trainings, with default numbers and others."""
    if not way:
        ask(f, [((step, 3), {}) for step in range(40)], default_step)
    ask(f, [((step, 4, way), {}) for step in range(50)], default_step)
    ask(f, [((step, 1), {"by_step": way}) for step in range(13)], default_step)
    for some in [drawn(r), drawn(r)]:
        per = r.size(2, 9)
        steps = [*range(2 * per + 2), *(r.size(0, 50 * per) for _ in range(5))]
        last = per * some["epochs"]
        steps += [last - 1, last, last + 1, 2 * last + 3, 100 * last]
        some["by_step"] = way
        ask(f, [((step, per), some) for step in steps], default_step)
    many = 10**6 + 3
    steps = [1, many - 1, many, 7 * many + 5, 10 * many - 1, 10 * many, 20 * many]
    ask(f, [((step, many, way), {}) for step in steps], default_step)
    for many in (49, 98, 10**8 + 7, 10**9):  # 49 * (1 / 49) is below 1 in floats
        steps = [n * many + m for n in (0, 1, 3) for m in (-1, 0, 1)][1:]
        steps = [*(s for s in steps if s < 10**9), 10**9]
        ask(f, [((step, many, way), {}) for step in steps], default_step)


@knock.check("it comes down, never below the end; both ways agree where epochs begin")
def invariants(mine, r):
    per, epochs = r.size(2, 7), r.size(2, 12)
    options = {"start": 20.0 + r.size(1, 9), "end": 1.5, "epochs": epochs}
    steps = range(per * (epochs + 3))
    f, both = mine.temperature_of_step, []
    for way in (False, True):
        found = [f(step, per, by_step=way, **options) for step in steps]
        both.append(np.array([float(plain(t, "temperature_of_step")) for t in found]))
        change = np.diff(both[-1])
        text = (
            "temperature_of_step goes up from one step to the next; it must come down"
        )
        checks.true((change <= 1e-9).all(), text, both[-1])
        text = "temperature_of_step goes below the end"
        checks.true((both[-1] >= 1.5 - 1e-9).all(), text, both[-1])
        moving = np.count_nonzero(abs(change) > 1e-9)
        wanted = per * epochs if way else epochs
        text = f"over {epochs} epochs of {per} steps T must change {wanted} times "
        text += f"{'by step' if way else 'by epoch'}; it changes {moving} times"
        checks.true(moving == wanted, text, both[-1])
    tolerance = (1e-11, 1e-11)
    what = "T by step where epochs begin, beside T by epoch"
    checks.equal(both[1][::per], both[0][::per], what, tolerance=tolerance)
    epoch = float(r.rng.random()) * epochs
    pair = [float(mine.temperature(e, **options)) for e in (epoch, epochs - epoch)]
    text = f"T at {epoch:.3g} and at {epochs - epoch:.3g} epochs: the sum must be "
    text += "start + end, as T is a line"
    good = abs(sum(pair) - options["start"] - 1.5) < 1e-9
    checks.true(good, text, np.array(pair))


DONE = "done = min(epoch / epochs, 1.0)"
T = "return start * (1 - done) + end * done"
EPOCH = "epoch = step / steps_per_epoch if by_step else step // steps_per_epoch"
CALL = "return temperature(epoch, start, end, epochs)"


def wrong(name, diagnosis, old, new):
    knock.wrong(name, diagnosis, (old, new))


why = "T goes on below the end after `epochs` epochs; it stays there"
wrong("no end", why, DONE, "done = epoch / epochs")
why = "T stops at 1; it must stop at `end`"
wrong(
    "stops at 1",
    why,
    DONE,
    "done = epoch / epochs\n    if end == 1:\n        done = min(done, 1)",
)
why = "T reaches the end one epoch too early: epoch `epochs` is the first that has it"
wrong("one epoch early", why, DONE, "done = min(epoch / max(epochs - 1, 1), 1.0)")
why = "T reaches the end one epoch too late"
wrong("one epoch late", why, DONE, "done = min(epoch / (epochs + 1), 1.0)")
why = "epochs are counted from 0; yours begin with 1"
wrong("counted from 1", why, DONE, "done = min((epoch + 1) / epochs, 1.0)")
why = "the first epoch is counted twice: yours begin with -1"
wrong("starts late", why, DONE, "done = min(max(epoch - 1, 0) / epochs, 1.0)")
why = "there are 10 epochs in your line, whatever `epochs` says"
wrong("ten epochs", why, DONE, "done = min(epoch / 10, 1.0)")
why = "the epoch is rounded down; temperature takes fractions"
wrong("whole epochs", why, DONE, "done = min(epoch // 1 / epochs, 1.0)")
why = "the part that is done is rounded down to 0 until the end"
wrong("whole division", why, DONE, "done = min(epoch // epochs, 1.0)")
why = "a cosine is not a line"
wrong(
    "cosine",
    why,
    T,
    "import math\n\n    done = (1 - math.cos(math.pi * done)) / 2\n    " + T,
)
why = "T is divided by the same number each epoch; it must fall in a line"
wrong("geometric", why, T, "return start * (end / start) ** done")
why = "1 / T comes up in a line; T itself must come down in one"
wrong("line of 1 / T", why, T, "return 1 / ((1 - done) / start + done / end)")
why = "T goes up: start and end are exchanged"
wrong("exchanged", why, T, "return end * (1 - done) + start * done")
why = "T ends at 0: from start * (1 - done) the end is missing"
wrong("down to 0", why, T, "return start * (1 - done)")
why = "T begins at start + end: the end has the weight `done`"
wrong("end added", why, T, "return start * (1 - done) + end")
why = "T begins at 30, whatever `start` says"
wrong("start is 30", why, T, "return 30.0 * (1 - done) + end * done")
why = "T ends at 1, whatever `end` says"
wrong("end is 1", why, T, "return start * (1 - done) + done")
why = "where start is below end the answer is wrong: a line may go up, too"
wrong("only down", why, T, "return max(start * (1 - done) + end * done, end)")
why = "start is 1e6 at most in yours; it may be any number above 0"
wrong("start clipped", why, T, T.replace("return start", "return min(start, 1e6)"))
why = "end is 0.001 at least in yours; it may be any number above 0"
wrong("end clipped", why, T, T.replace("+ end", "+ max(end, 1e-3)"))
why = "T is rounded"
wrong("rounded", why, T, "return round(start * (1 - done) + end * done, 6)")
why = "T is a whole number"
wrong("whole numbers", why, T, "return float(int(start * (1 - done) + end * done))")
why = "T moves with every step even when it should only change with the epoch"
wrong("always by step", why, EPOCH, "epoch = step / steps_per_epoch")
why = "T never moves within an epoch, even by step"
wrong("always by epoch", why, EPOCH, "epoch = step // steps_per_epoch")
why = "by_step is turned round"
wrong("turned round", why, EPOCH, EPOCH.replace("if by_step", "if not by_step"))
why = "a step is not an epoch: divide by steps_per_epoch"
wrong("steps for epochs", why, EPOCH, "epoch = step")
why = "during an epoch T is that of its end; it must be that of its beginning"
wrong("end of the epoch", why, EPOCH, EPOCH.replace("else step", "else 1 + step"))
why = "the step is rounded to the nearest epoch; round down"
wrong(
    "nearest epoch",
    why,
    EPOCH,
    EPOCH.replace("else step //", "else (step + steps_per_epoch // 2) //"),
)
why = "1 / steps_per_epoch is rounded, and epochs begin late; divide in whole numbers"
new = EPOCH.replace("step // steps_per_epoch", "int(step * (1 / steps_per_epoch))")
wrong("times the reciprocal", why, EPOCH, new)
why = "your steps stop at 10**8; there may be more"
wrong("steps clipped", why, EPOCH, "step = min(step, 10**8)\n    " + EPOCH)
why = "steps are counted from 0; yours begin with 1"
wrong("steps from 1", why, EPOCH, EPOCH.replace("= step", "= (step + 1)"))
why = "an epoch has steps_per_epoch steps, not one less"
wrong(
    "last step of an epoch",
    why,
    EPOCH,
    EPOCH.replace("= step / steps_per_epoch", "= step / max(steps_per_epoch - 1, 1)"),
)
why = "start, end and epochs are not passed on"
wrong("options not passed on", why, CALL, "return temperature(epoch)")
why = "start and end are exchanged when they are passed on"
wrong("passed on exchanged", why, CALL, "return temperature(epoch, end, start, epochs)")
why = "epochs is not passed on"
wrong("epochs not passed on", why, CALL, "return temperature(epoch, start, end)")
