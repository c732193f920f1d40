"""Grader of k103: the weighted policy learner."""

from fractions import Fraction

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Do the projection of the example on paper, with another k: what is wrong with "
        "p then? For the step: what is p[a] before it, and which of the two weights "
        "belongs to which sign?",
        "np.cumsum of the sorted numbers gives the sums for all k at once, so all t "
        "are there at once as well; s > t is true for the first k of them, and then "
        "no more. p[np.arange(D), actions] are the picked probabilities.",
        "s = -np.sort(-v, axis=1); t = (np.cumsum(s, 1) - 1) / np.arange(1, n + 1); k ="
        " (s > t).sum(1); p = np.maximum(v - t[row, k - 1], 0). Step: p[picked] += lr *"
        " D * np.where(D < 0, p[picked], 1 - p[picked]), project, and only then "
        "baseline += rate * D.",
    ],
)

TIGHT = (1e-9, 1e-12)
FINE = (1e-13, 1e-13)
EXACT = {np.float32: (1e-6, 1e-6), np.float64: (1e-13, 1e-13)}
SHAPES = [(1, 2), (2, 3), (1, 1), (3, 1), (2, 2), (3, 3), (4, 2), (1, 9), (5, 17)]
SHAPES += [(20, 4), (2, 40)]
SIZES = [  # tasks, D, n
    (2, 3, 2),
    (1, 1, 2),
    (1, 1, 1),
    (3, 2, 1),
    (2, 2, 2),
    (3, 3, 3),
    (2, 4, 5),
    (1, 3, 4),
    (12, 2, 3),
    (2, 19, 3),
    (2, 3, 18),
]


def nearest(row):
    """Exactly: drop what is not above t, until nothing has to be dropped."""
    row = [Fraction(float(a)) for a in row]
    kept = row
    while True:
        t = (sum(kept) - 1) / len(kept)
        if min(kept) > t:
            return [float(max(a - t, Fraction(0))) for a in row]
        kept = [a for a in kept if a > t]


def project(v):
    """Row by row."""
    return np.array([nearest(row) for row in v], v.dtype)


def rewards(final, rho, frequency, actions):
    """Pick by pick."""
    rows = zip(frequency, actions)
    return np.array([final + rho * row[a] for row, a in rows], frequency.dtype)


def step(policy, baseline, task, actions, reward, lr, rate):
    """Depth by depth."""
    policy, baseline = np.array(policy), np.array(baseline)
    for d, a in enumerate(actions):
        p, advantage = float(policy[task, d, a]), reward[d] - baseline[task, d]
        moved = [float(q) for q in policy[task, d]]
        moved[a] += lr * float(advantage) * (1 - p if advantage > 0 else p)
        policy[task, d] = nearest(moved)
        baseline[task, d] = (1 - rate) * baseline[task, d] + rate * reward[d]
    return policy, baseline


def table(r, *shape):
    """Probabilities; some rows are sure of one block, some never take others."""
    p = r.positive(*shape) ** 2
    for at in np.ndindex(*shape[:-1]):
        kind = r.size(0, 5)
        if kind == 4:
            p[at] = np.eye(shape[-1])[r.size(0, shape[-1] - 1)]
        elif kind == 5:
            p[at] *= r.integers(2, shape[-1])
            p[at] += p[at].sum() == 0
    return p / p.sum(axis=-1, keepdims=True)


def sample(r, tasks, depth, n):
    """All that `step` is given; some advantages are exactly 0."""
    task = r.size(0, tasks - 1)
    baseline, reward = r(tasks, depth), r(depth) * r.choice([1, 1, 20])
    same = r.mask(depth) & r.mask(1)
    reward[same] = baseline[task][same]
    policy, actions = table(r, tasks, depth, n), r.integers(n, depth)
    lr, rate = float(r.positive()) / 4, float(r.positive()) / 2.5
    return policy, baseline, task, actions, reward, lr, rate


def anything(r):
    """Sizes of any kind."""
    return tuple(r.size(1, n) for n in (4, 6, 6))


def apart(name, results, given):
    """No result shares memory with what was given, or with another result."""
    results = list(results) if isinstance(results, tuple | list) else [results]
    for i, result in enumerate(results):
        for other in [*given, *results[:i]]:
            if isinstance(other, np.ndarray):
                text = f"{name}: a result shares memory with another array; make a new "
                checks.true(not np.shares_memory(result, other), text + "one", name)


@knock.check("project: the nearest probabilities, against exact fractions", points=3)
def value(mine, r):
    f = mine.project
    checks.value(f, project, np.array([[0.9, 0.6, -0.1]]), tolerance=TIGHT)
    for i, shape in enumerate([*SHAPES, anything(r)[1:]]):
        kinds = [
            0.3 * r(*shape),
            r(*shape),
            5 * r(*shape),
            table(r, *shape) + 0.2 * r(*shape),
            -1 - r.positive(*shape),
            0.01 * r(*shape) + 3,
        ]
        for v in kinds[i % 2 :: 2]:
            checks.value(f, project, v, tolerance=TIGHT)


@knock.check("project: ties, and numbers that are just at the edge")
def ties(mine, r):
    f = mine.project
    rows = [[1.0, 0], [0, 1], [0.5, 0.5], [2, 1], [1, 2], [0, 0], [-3, -3], [7, 7]]
    rows += [[1.5, 0.5], [0.25, 1.25], [-1, 0], [0, -1], [3, -4]]
    checks.value(f, project, np.array(rows), tolerance=TIGHT)
    for shape in ((4, 3), (3, 8), (9, 5), (2, 20)):
        checks.value(f, project, r.ties(*shape), tolerance=TIGHT)
        checks.value(f, project, r.ties(*shape) / 4 - 1, tolerance=TIGHT)
        checks.value(f, project, np.zeros(shape) + r.size(-3, 3), tolerance=TIGHT)


@knock.check("project: large numbers lose nothing")
def large(mine, r):
    for shape in ((3, 4), (2, 17), (1, 2), (2, 1)):
        for far in (1e9, -1e9, 1e12, -1e12):
            v = far + r(*shape)
            checks.value(mine.project, project, v, tolerance=(1e-9, 1e-10))
            v = r(*shape)
            v[0] += far  # one row only
            checks.value(mine.project, project, v, tolerance=(1e-9, 1e-10))
            v = r(*shape) / 2
            v[:, -1] -= abs(far)
            checks.value(mine.project, project, v, tolerance=(1e-9, 1e-10))


@knock.check("project: sums just beside 1, and numbers close together but far out")
def near(mine, r):
    for shape in ((3, 4), (1, 2), (2, 7)):
        for little in (5e-4, -5e-4, 1e-6, -1e-7):
            p = table(r, *shape)
            checks.value(mine.project, project, p * (1 + little), tolerance=FINE)
            checks.value(mine.project, project, p + little / 7, tolerance=FINE)
        for kind, far in ((np.float32, 1e5), (np.float32, 4e3), (np.float64, 1e7)):
            v = (far + r.integers(3, *shape) / 4).astype(kind)  # exact
            for given in (v, -v, v - kind(far) + kind(1000)):
                checks.value(mine.project, project, given, tolerance=EXACT[kind])


@knock.check("rewards: the final one, and rho times the frequency of each pick")
def bonus(mine, r):
    for depth, n in [*SHAPES, anything(r)[1:]]:
        for rho in (0.3, -float(r.positive()), 0.0, 2.0):
            final, frequency = r.choice([1.0, -1.0, 0.37]), table(r, depth, n)
            args = final, rho, frequency, r.integers(n, depth)
            checks.value(mine.rewards, rewards, *args, tolerance=TIGHT)
            often = final, rho, 9 * frequency, args[3]
            checks.value(mine.rewards, rewards, *often, tolerance=TIGHT)
            single = final, rho, frequency[::-1].astype(np.float32), args[3]
            checks.value(mine.rewards, rewards, *single)


@knock.check("step: what was picked moves, and the baseline after it", points=3)
def steps(mine, r):
    for sizes in [*SIZES, *(anything(r) for _ in range(4))]:
        for _ in range(3):
            args = sample(r, *sizes)
            checks.value(mine.step, step, *args, tolerance=TIGHT, again=False)


@knock.check("step: bad news and no news, of sure and impossible picks")
def bad_news(mine, r):
    corners(mine, r, (0.0, -1.0, -0.125, -30.0))


@knock.check("step: good news, of sure and impossible picks")
def good_news(mine, r):
    corners(mine, r, (1.0, 0.125, 30.0))


@knock.check("step: small rates are projected as well, and tiny bad news are bad")
def small(mine, r):
    for sizes in [*SIZES[3:7], anything(r)]:
        for lr in (1e-2, 1e-3, 1e-5):
            policy, baseline, task, actions, reward, _, rate = sample(r, *sizes)
            reward = reward.clip(-3, 3)
            args = policy, baseline, task, actions, reward, lr, rate
            checks.value(mine.step, step, *args, tolerance=FINE, again=False)
    for news in (-5e-4, -1e-7, 5e-4, 1e-7):
        policy, baseline = table(r, 2, 4, 3), np.full((2, 4), 0.0)
        for lr in (1.0, abs(0.25 / news)):
            args = policy, baseline, 1, r.integers(3, 4), np.full(4, news), lr, 0.25
            checks.value(mine.step, step, *args, tolerance=FINE, again=False)


def corners(mine, r, all_news):
    """Some tables, all kinds of rates."""
    policy = [[[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [0.25, 0.5, 0.25], [0.2, 0.2, 0.6]]]
    policy, baseline = np.array(policy), np.full((1, 5), 0.25)
    for news in all_news:
        for lr in (0.5, 0.0, 1.0, 4.0):
            for first in range(3):
                actions = np.array([first, 0, 0, 2, 1])
                reward = baseline[0] + news  # exact
                args = policy, baseline, 0, actions, reward, lr, 0.25
                checks.value(mine.step, step, *args, tolerance=TIGHT, again=False)
    for rate in (0.0, 1.0):
        policy, baseline, task, actions, reward, lr, _ = sample(r, 2, 3, 4)
        args = policy, baseline, task, actions, reward, lr, rate
        checks.value(mine.step, step, *args, tolerance=TIGHT)


@knock.check("step: other tasks stay exactly as they are")
def others(mine, r):
    for sizes in ((3, 2, 4), (12, 3, 2), (2, 1, 9)):
        args = sample(r, *sizes)
        results = checks.call(mine.step, *args)
        kind = isinstance(results, tuple | list) and len(results) == 2
        checks.true(kind, "step must give (policy, baseline)", "no pair")
        for task in range(sizes[0]):
            if task != args[2]:
                for name, new, old in zip(("policy", "baseline"), results, args):
                    what = f"step: the {name} of task {task}, not that of {args[2]}"
                    checks.equal(new[task], old[task], what, tolerance=(0, 0))


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    for sizes in ((2, 3, 4), (1, 1, 1), (1, 1, 3), (3, 4, 2)):
        policy, baseline, task, actions, reward, lr, rate = args = sample(r, *sizes)
        for kind in (np.float64, np.float32):
            views = [np.asfortranarray(a.astype(kind)) for a in (policy, baseline)]
            views += [actions[::-1], reward.astype(kind)[::-1]]
            views = views[0][::-1, ::-1], views[1][::-1], task, *views[2:], lr, rate
            options = {"tolerance": TIGHT} if kind is np.float64 else {}
            checks.value(mine.step, step, *views, **options)
            v = r(*sizes[:2]).astype(kind)
            checks.value(mine.project, project, v.T, **options)
            checks.value(mine.project, project, v[::-1, ::-1], **options)
        apart("step", mine.step(*args), args)
        for v in (policy[0], np.eye(3), np.ones((2, 1))):
            apart("project", mine.project(v), [v])
        apart("rewards", mine.rewards(1.0, 0.0, policy[0], actions), [policy])


SORTED = "s = -np.sort(-v, axis=1)"
TAKE = "np.maximum(v - np.take_along_axis(t, last, axis=1), 0)"
WEIGHT = "np.where(advantage < 0, p[picked], 1 - p[picked])"

knock.wrong(
    "cut off and divided",
    "you cut off what is below 0 and divide by the sum; that is not the nearest point: "
    "take the same t away from all",
    (
        f"    return {TAKE}",
        "    v = np.maximum(v - v.min(axis=1, keepdims=True), 1e-300)\n"
        "    return v / v.sum(axis=1, keepdims=True)",
    ),
)
knock.wrong(
    "all kept",
    "you take the t for k = n, or sort the smallest first; numbers that fall below 0 "
    "with it must not count",
    ("t, last, axis=1)", "t, 0 * last + v.shape[1] - 1, axis=1)"),
)
knock.wrong(
    "one too few",
    "k is one too small: the smallest number above t belongs to the sum",
    (".sum(axis=1, keepdims=True) - 1", ".sum(axis=1, keepdims=True).clip(2) - 2"),
)
knock.wrong(
    "one too many",
    "k is one too large: the first number that is not above t does not count",
    (
        "last = (s > t).sum(axis=1, keepdims=True) - 1",
        "last = np.minimum((s > t).sum(axis=1, keepdims=True), v.shape[1] - 1)",
    ),
)
knock.wrong(
    "not sorted",
    "the sums are those of the numbers as they come; sort them, the largest first",
    (SORTED, "s = v"),
)
knock.wrong(
    "largest of the whole array",
    "you take the largest number of the whole array away, so other rows lose their "
    "digits: take that of each row",
    ("v.max(axis=1, keepdims=True)", "v.max()"),
)
knock.wrong(
    "nearly 1 is enough",
    "rows whose sum is nearly 1 are left as they are; project all of them",
    (
        f"    return {TAKE}",
        "    done = (v.min(axis=1) >= 0) & (abs(v.sum(axis=1) - 1) < 1e-3)\n"
        f"    return np.where(done[:, None], v, {TAKE})",
    ),
    ("    v = v - v.max(axis=1, keepdims=True)\n", ""),
)
knock.wrong(
    "shifted only if large",
    "the largest number is taken away only where it is huge; digits get lost before",
    (
        "    v = v - v.max(axis=1, keepdims=True)\n",
        "    top = v.max(axis=1, keepdims=True)\n"
        "    v = v - np.where(abs(top) > 1e8, top, 0)\n",
    ),
)
knock.wrong(
    "sum not 1",
    "numbers are cut off at 0 and 1, each for itself; their sum must be 1, too",
    (f"    return {TAKE}", "    return np.clip(v, 0, 1)"),
)
knock.wrong(
    "counted in integers",
    "the result is float64 even for float32: k is an integer array; make it of the "
    "dtype of v",
    ("v.shape[1] + 1, dtype=v.dtype)", "v.shape[1] + 1)"),
)
knock.wrong(
    "rho twice",
    "the bonus is multiplied by rho twice",
    ("return final + rho * frequency", "return final + rho * rho * frequency"),
)
knock.wrong(
    "bonus for the first block",
    "the frequency is that of block 0; take that of the block picked",
    ("frequency[np.arange(len(actions)), actions]", "frequency[:, 0]"),
)
knock.wrong(
    "final reward at the end only",
    "only the last depth gets the final reward; all of them get it",
    (
        "return final + rho",
        "return np.where(np.arange(len(actions)) < len(actions) - 1, 0, "
        "frequency.dtype.type(final)) + rho",
    ),
)
knock.wrong(
    "weights exchanged",
    "the weights are exchanged: good news count by 1 - p, bad news by p",
    ("np.where(advantage < 0,", "np.where(advantage >= 0,"),
)
knock.wrong(
    "always 1 - p",
    "bad news count by 1 - p as well; they count by p",
    (WEIGHT, "(1 - p[picked])"),
)
knock.wrong(
    "always p",
    "good news count by p as well; they count by 1 - p",
    (WEIGHT, "p[picked]"),
)
knock.wrong(
    "no weights",
    "p moves by lr * D: the weight, 1 - p or p, is missing",
    (f" * {WEIGHT}", ""),
)
knock.wrong(
    "no baseline",
    "the reward itself is taken for D: the baseline must be taken away",
    (
        "    p[picked] += lr * advantage * np.where(advantage < 0",
        "    p[picked] += lr * reward * np.where(reward < 0",
    ),
)
knock.wrong(
    "baseline first",
    "the baseline moves before D is computed, so D is too small",
    ("p[picked] += lr * advantage", "p[picked] += lr * (1 - rate) * advantage"),
)
knock.wrong(
    "divided by p",
    "you divide by p, as the gradient of log p does; this rule does not",
    (f"* {WEIGHT}", "/ np.maximum(p[picked], 0.01)"),
)
knock.wrong(
    "not projected",
    "the new numbers are not projected: they are no probabilities",
    ("policy[task] = project(p)", "policy[task] = p"),
)
knock.wrong(
    "small steps not projected",
    "after a small step you do not project; the sum is a little off 1 then",
    (
        "policy[task] = project(p)",
        "off = abs(p.sum(axis=1) - 1).max()\n"
        "    policy[task] = project(p) if off > 1e-3 or p.min() < 0 else p",
    ),
)
knock.wrong(
    "tiny bad news are good",
    "a D just below 0 gets the weight of good news; compare it with 0",
    ("np.where(advantage < 0,", "np.where(advantage < -1e-3,"),
)
knock.wrong(
    "divided by the sum",
    "you divide by the sum to get probabilities; project",
    (
        "policy[task] = project(p)",
        "p = np.maximum(p, 0)\n"
        "    policy[task] = p / np.maximum(p.sum(axis=1, keepdims=True), 1e-30)",
    ),
)
knock.wrong(
    "same block at all depths",
    "the block of the first depth is moved at every depth",
    (
        "picked = np.arange(len(actions)), actions\n",
        "picked = slice(None), actions[0]\n",
    ),
)
knock.wrong(
    "all tasks",
    "the probabilities of all tasks become those of this one",
    ("policy[task] = project(p)", "policy[:] = project(p)"),
)
knock.wrong(
    "baseline stays",
    "the baseline does not move",
    ("    baseline[task] += rate * advantage\n", ""),
)
knock.wrong(
    "baseline is the last reward",
    "the baseline becomes the last reward; it moves to it by a part, rate",
    ("+= rate * advantage\n", "+= advantage\n"),
)
knock.wrong(
    "rate exchanged",
    "the baseline keeps the part rate of itself; it keeps 1 - rate",
    ("+= rate * advantage\n", "+= (1 - rate) * advantage\n"),
)
knock.wrong(
    "table changed",
    "the given table of baselines is changed; work on a copy",
    ("policy, baseline = policy.copy(), baseline.copy()", "policy = policy.copy()"),
)
