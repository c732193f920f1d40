"""The checks that graders are made of, and what their messages say."""

import numpy as np
import pytest

from minidl.knocks import checks, compare
from minidl.knocks.grader import Grader, Mistake, Sampler, same_evidence
from minidl.tensor import Tensor


def wrong(received, expected, **options):
    with pytest.raises(Mistake) as caught:
        compare.same(np.asarray(received), np.asarray(expected), "y", **options)
    return caught.value.message


def test_patterns_are_named():
    y = np.arange(1.0, 7.0).reshape(2, 3)
    square = np.arange(1.0, 10).reshape(3, 3)
    assert "-1.000x everywhere: the sign is flipped" in wrong(-y, y)
    assert "2.000x everywhere" in wrong(2 * y, y)
    assert "divided by 3" in wrong(y / 3, y, sizes=[3])
    assert "off by +0.5 everywhere" in wrong(y + 0.5, y)
    assert "transposed" in wrong(square.T, square)
    assert "shape must be (2, 3); got (3, 2): transposed" in wrong(y.T, y)
    assert "another order" in wrong(y[:, ::-1], y)
    assert "zeros came back" in wrong(0 * y, y)
    assert "over an axis missing" in wrong(y, y.sum(0))
    assert "first [1, 2]" in wrong(np.where(y == 6, 7.5, y), y)
    assert "dtype must be float64; got float32" in wrong(y.astype("f"), y)


def test_equal_and_nearly_equal_pass():
    y = np.array([1.0, np.nan, np.inf, 0.0])
    compare.same(y * (1 + 1e-9), y, "y")
    compare.same(Tensor(y), y, "y")
    compare.same((1.0, y), (1.0, y), "y")
    compare.same(np.zeros((0, 3)), np.zeros((0, 3)), "y")
    assert "results must come back" in str(
        pytest.raises(Mistake, compare.same, y, (1.0, y), "y").value
    )


def test_evidence_tells_mistakes_apart():
    y = np.array([1.0, 2.0])
    assert same_evidence(y, y + 1e-9) and not same_evidence(y, y + 1e-3)
    assert not same_evidence(y, "text") and same_evidence("text", "text")
    assert same_evidence((y, 1), (y, 1)) and not same_evidence((y,), (y, 1))


def test_gradient_names_the_argument_and_the_fault():
    r, x, a = Sampler(0), np.array([1.0, 2.0, 3.0]), np.asarray(2.0)

    def forward(x, a):
        return x * a

    def message(backward):
        with pytest.raises(Mistake) as caught:
            checks.gradient(backward, forward, x, a, r=r)
        return caught.value.message

    checks.gradient(lambda g, x, a: (g * a, (g * x).sum()), forward, x, a, r=r)
    assert "ignored" in message(lambda g, x, a: (a + 0 * g, x.sum()))
    assert "gradient by a" in message(lambda g, x, a: (g * a, -(g * x).sum()))
    assert "add them up" in message(lambda g, x, a: (g * a, g * x))
    assert "2 gradients must come back; got 1" in message(lambda g, x, a: g * a)


def of_value(f, oracle, *args, **options):
    """What `checks.value` says of ``f``; an empty text if nothing."""
    try:
        checks.value(f, oracle, *args, **options)
    except Mistake as mistake:
        return mistake.message
    return ""


def test_infinities_and_nans_must_be_where_they_are_expected():
    y = np.array([1.0, np.inf, -np.inf, np.nan])
    for i, other in ((0, np.inf), (1, 7.0), (1, -np.inf), (2, np.nan), (3, 0.0)):
        bad = y.copy()
        bad[i] = other
        assert f"first [{i}]" in wrong(bad, y)


def test_an_answer_may_not_change_what_it_is_given():
    def double(x):
        x *= 2
        return x

    assert "changes its input x" in of_value(double, lambda x: 2 * x, np.ones(3))
    tensor = Tensor(np.ones(3))

    def through_tensor(x):
        x.data *= 2
        return x

    said = of_value(through_tensor, lambda x: Tensor(2 * x.data), tensor)
    assert "changes its input" in said and tensor.data.sum() == 3

    def grow(xs):
        xs.append(1.0)
        return np.asarray(sum(xs))

    said = of_value(grow, lambda xs: np.asarray(sum(xs) + 1), [1.0, 2.0])
    assert "changes its input xs" in said

    def spoil(table):
        table["w"][0] = 0
        return table["w"].sum()

    table = {"w": np.ones(3)}
    assert "changes its input table" in of_value(spoil, lambda t: 2.0, table)
    assert table["w"].sum() == 3


def test_an_answer_must_be_right_each_time_it_is_called():
    x = np.arange(1.0, 5.0)
    kept = {}

    def remembers(x):
        return kept.setdefault("first", 2 * x)

    assert "called again" in of_value(remembers, lambda x: 2 * x, x)

    room = np.zeros(4)

    def same_room(x):
        room[:] = 2 * x
        return room

    said = of_value(same_room, lambda x: 2 * x, x)
    assert "results share memory" in said
    calls = []

    def third_time(x):
        calls.append(1)
        return 2 * x + (len(calls) == 3)

    assert "called once more" in of_value(third_time, lambda x: 2 * x, x)
    calls.clear()
    assert of_value(third_time, lambda x: 2 * x, x, again=False) == ""
    assert of_value(lambda x: 2 * x, lambda x: 2 * x, x) == ""


def test_a_gradient_must_be_linear_and_own_its_memory():
    x = np.array([1.0, 2.0, 3.0])
    calls, room = [], np.zeros(3)

    def once(g, x):
        calls.append(1)
        return 2 * g * x if len(calls) == 1 else 2 * np.ones(3) * x

    def same_room(g, x):
        room[:] = 2 * g * x
        return room

    for backward, words in ((once, "called again"), (same_room, "share memory")):
        with pytest.raises(Mistake, match=words):
            checks.gradient(backward, lambda x: x * x, x, r=Sampler(0))


def test_brisk_calls_once():
    calls = []

    def f(x):
        calls.append(1)
        return 2 * x

    with checks.brisk():
        assert of_value(f, lambda x: 2 * x, np.ones(3)) == ""
        assert len(calls) == 1
        assert "expected 2" in of_value(lambda x: x, lambda x: 2 * x, np.ones(3))
        with pytest.raises(Mistake, match="gradient by x"):
            checks.gradient(lambda g, x: g, lambda x: x * x, np.ones(3), r=Sampler(0))
    assert of_value(f, lambda x: 2 * x, np.ones(3)) == "" and len(calls) == 4


def test_inputs_lie_in_memory_as_they_were_made():
    x = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::-1, :, ::2]
    wide = np.broadcast_to(np.arange(3.0), (2, 3))
    empty = np.zeros((0, 3))[::-1]
    for given in (x, wide, empty, np.asfortranarray(np.ones((2, 3)))):
        seen = []

        def f(x):
            seen.append((x.strides, x.tolist()))
            return x.sum(axis=0)

        assert of_value(f, lambda x: x.sum(axis=0), given) == ""
        assert seen[0] == seen[2] == (given.strides, given.tolist())
        assert len({strides for strides, _ in seen}) == 1


def test_lines_are_counted():
    def loops(n):
        total = 0
        for i in range(n):
            total += i
        return total

    checks.steps(sum, ([1],), ([1] * 1000,), "sum")
    checks.steps(lambda n: n + 1, (3,), (1000,), "one step")
    with pytest.raises(Mistake, match="for a large one: it loops over rows"):
        checks.steps(loops, (3,), (1000,), "total", over="rows")


def test_a_distribution_may_be_as_far_off_as_chance_explains():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(4000)
    checks.distribution(x.reshape(40, 100), checks.normal_cdf, "normal numbers")
    checks.distribution(rng.random(4000), lambda u: u, "uniform ones")
    for wrong in (x + 0.2, 1.2 * x, abs(x), np.where(x < 1, x, 1.0), -(x**2)):
        with pytest.raises(Mistake, match="shares of small and large"):
            checks.distribution(wrong, checks.normal_cdf, "others")
    with pytest.raises(Mistake):
        checks.distribution(np.full(100, np.nan), lambda u: u, "no numbers")


def test_the_distance_of_a_distribution_by_hand():
    """Of 100 numbers evenly in [0, c), 1 - c are missing above; 3 / sqrt(n) is 0.3."""
    even = (np.arange(100) + 0.5) / 100
    for c in (1.0, 0.72):
        checks.distribution(c * even[::-1], lambda u: u, "draws")
    with pytest.raises(Mistake, match=r"draws: .* up to 0\.323 off.*explains 0\.3\)"):
        checks.distribution(0.68 * even, lambda u: u, "draws")
    with pytest.raises(Mistake):  # missing below
        checks.distribution(1 - 0.68 * even, lambda u: u, "draws")


def test_other_checks():
    checks.adjoint(lambda x: 2 * x, lambda y: 2 * y, np.ones(3), np.ones(3), "f")
    with pytest.raises(Mistake, match="not the transpose"):
        checks.adjoint(lambda x: 2 * x, lambda y: y, np.ones(3), np.ones(3), "f")
    checks.count(6, 6, "parameters")
    with pytest.raises(Mistake, match="parameters must be 1,000; got 6"):
        checks.count(6, 1000, "parameters")
    rng = np.random.default_rng(0)
    checks.statistic(rng.standard_normal(10_000), 0.0, "the mean")
    with pytest.raises(Mistake, match="on average"):
        checks.statistic(rng.standard_normal(10_000) + 0.2, 0.0, "the mean")
    checks.learns(lambda s: 1.1, lambda s: 1.0, "it")
    with pytest.raises(Mistake, match="the reference reaches 1"):
        checks.learns(lambda s: 2.0, lambda s: 1.0, "it")
    with pytest.raises(Mistake, match="must raise ValueError"):
        checks.raises(ValueError, lambda x: x, 1, what="no")
    checks.raises(ValueError, int, "x", what="a number")


@pytest.mark.parametrize(
    "source,names,loops,bad",
    [
        ("y = np.convolve(a, b)", ["np.convolve"], False, True),
        ("y = scipy.signal.convolve(a, b)", ["convolve"], False, True),
        ("y = convolved(a, b)", ["convolve"], False, False),
        ("from numpy import convolve as f; y = f(a, b)", ["np.convolve"], False, True),
        ("from numpy import convolve; y = convolve(a)", ["np.convolve"], False, True),
        ("import numpy as n; y = n.convolve(a, b)", ["np.convolve"], False, True),
        ("import numpy; y = numpy.convolve(a, b)", ["np.convolve"], False, True),
        ("from a import b as convolved; y = convolved(a)", ["convolve"], False, False),
        ("for i in x: pass", [], True, True),
        ("y = [i for i in x]", [], True, True),
        ("y = x + 1  # for", [], True, False),
    ],
)
def test_banned_calls(source, names, loops, bad):
    class Answer:
        pass

    answer = Answer()
    answer.source = source
    if bad:
        with pytest.raises(Mistake, match="line 1"):
            checks.banned(answer, *names, loops=loops)
    else:
        checks.banned(answer, *names, loops=loops)


def test_wrong_edits_must_fit():
    knock = Grader(hints=[])
    knock.wrong("a", "b", ("xx", "y"))
    assert knock.wrongs[0].apply("1 xx 2") == "1 y 2"
    with pytest.raises(ValueError, match="it occurs 2 times"):
        knock.wrongs[0].apply("xx xx")
