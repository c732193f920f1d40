"""The checks that graders are made of. Each raises `Mistake` with what is wrong.

Answers are called with copies, twice: what is given may not be changed, and the second
call must give what the first gave. Gradients are compared element by element with
central differences in float64, under a random gradient from above.
"""

import inspect
import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial

import numpy as np

from .. import backend
from ..tensor import Tensor
from .compare import inputs, plain, same
from .grader import Mistake, Unavailable
from .reading import banned, steps

__all__ = [
    "adjoint",
    "banned",
    "brisk",
    "call",
    "count",
    "distribution",
    "equal",
    "faster",
    "gradient",
    "learns",
    "normal_cdf",
    "numeric",
    "on_device",
    "raises",
    "statistic",
    "steps",
    "true",
    "value",
]


_brisk = ContextVar("brisk", default=False)


@contextmanager
def brisk():
    """While it lasts, answers are called once only: for proofs on many seeds."""
    token = _brisk.set(True)
    try:
        yield
    finally:
        _brisk.reset(token)


def _copy(x):
    if isinstance(x, np.ndarray):
        return np.array(x) if x.flags.c_contiguous else _strided(x)
    if isinstance(x, Tensor):
        return Tensor(x.data.copy(), x.requires_grad)
    if isinstance(x, tuple | list):
        return type(x)(map(_copy, x))
    if isinstance(x, dict):
        return {key: _copy(v) for key, v in x.items()}
    return x


def _strided(x):
    """A copy that lies in memory as x does, backwards and with gaps."""
    if x.size == 0:
        return x.copy()
    steps = [(n - 1) * step for n, step in zip(x.shape, x.strides)]
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
    memory = np.zeros(high - low + x.itemsize, np.uint8)
    view = np.ndarray(x.shape, x.dtype, memory, -low, x.strides)
    view[...] = x
    return view


def _array(x):
    return x.data if isinstance(x, Tensor) else x


@lru_cache(1000)
def _parameters(f) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return ()


def _names(f, args) -> list[str]:
    names = list(_parameters(f))
    return names[: len(args)] + [f"argument {i}" for i in range(len(names), len(args))]


def _title(f, args, options) -> str:
    """conv2d(x, w, stride=2) with the arguments' names."""
    words = _names(f, args) + [f"{k}={v!r}" for k, v in options.items()]
    return f"{getattr(f, '__name__', 'answer')}({', '.join(words)})"


def _given(f, args) -> str:
    return inputs(_names(f, args), args)


def call(f, *args, **options):
    """What the answer gives for copies of ``args``; it may not change them."""
    copies = [_copy(a) for a in args]
    result = f(*copies, **options)
    for i, (a, copy) in enumerate(zip(args, copies)):
        if not _unchanged(a, copy):
            name = _names(f, args)[i]
            raise Mistake(
                f"{_title(f, args, options)} changes its input {name}: work on a copy, "
                "or make a new array\n  with\n" + _given(f, args),
                _array(copy) if isinstance(_array(copy), np.ndarray) else "changed",
            )
    return result


def _unchanged(a, copy) -> bool:
    a, copy = _array(a), _array(copy)
    if isinstance(a, tuple | list):
        return len(a) == len(copy) and all(map(_unchanged, a, copy))
    if isinstance(a, dict):
        return a.keys() == copy.keys() and all(_unchanged(a[k], copy[k]) for k in a)
    if isinstance(a, np.ndarray):
        if a.shape != copy.shape:
            return False
        same = a.tobytes() == copy.tobytes()  # the quicker question
        return same or np.array_equal(a, copy, a.dtype.kind == "f")
    return True


def value(f, oracle, *args, tolerance=None, again=True, **options):
    """``f(*args)`` must be ``oracle(*args)``; so also when it is called again.

    Then other numbers of the same shapes are tried, the first result must not have
    changed by that, and the first numbers come once more. ``again=False`` is for
    answers that draw random numbers or keep a state. (`brisk` leaves this out.)
    """
    what, given = partial(_title, f, args, options), partial(_given, f, args)
    expected = oracle(*[_copy(a) for a in args], **options)
    received = call(f, *args, **options)
    sizes = [n for a in args if isinstance(_array(a), np.ndarray) for n in a.shape]
    compare = partial(same, tolerance=tolerance, sizes=sizes)
    compare(received, expected, what, given)
    if again and not _brisk.get():
        others = [_rolled(a) for a in args]
        wanted = oracle(*[_copy(a) for a in others], **options)
        second = call(f, *others, **options)
        compare(second, wanted, _said(what, "called again"), partial(_given, f, others))
        where = "its first result after the second call: results share memory"
        compare(received, expected, _said(what, where), given)
        third = call(f, *args, **options)
        compare(third, expected, _said(what, "called once more"), given)
    return received


def _said(what, words):
    return lambda: f"{what()}, {words}"


def _rolled(a):
    """The same numbers in other places, in an array that lies as ``a`` does."""
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or a.size < 2:
        return a
    other = _strided(a)
    if min(map(abs, a.strides)) > 0:  # not broadcast
        other[...] = np.roll(np.asarray(a).ravel(), 1).reshape(a.shape)
    return other


def equal(received, expected, what: str, *, given="", tolerance=None, sizes=()):
    """``received`` must be ``expected``; ``what`` names it in the message."""
    same(received, expected, what, given, tolerance, sizes)


def true(condition, sentence: str, evidence=None):
    """``sentence`` says what is wrong if ``condition`` is not true."""
    if not condition:
        raise Mistake(sentence, evidence)


def count(received, expected: int, what: str):
    """A whole number that must be exactly right."""
    received = plain(received, what)
    if received.shape != () or received != expected:
        text = f"{what} must be {expected:,}; got {received}"
        raise Mistake(text, np.asarray(received, float))


def numeric(function, args, upstream, i, eps=1e-6):
    """d <upstream, function(*args)> / d args[i] by central differences, in float64."""
    args = [np.array(a, float) if _is_float(a) else a for a in args]
    x, out = args[i], np.zeros(np.shape(args[i]))
    for at in np.ndindex(*x.shape):
        kept, values = x[at], []
        for step in (eps, -eps):
            x[at] = kept + step
            values.append(float((upstream * np.asarray(function(*args))).sum()))
        x[at] = kept
        out[at] = (values[0] - values[1]) / (2 * eps)
    return out


def _is_float(a):
    return isinstance(a, float) or isinstance(a, np.ndarray) and a.dtype.kind == "f"


def gradient(backward, forward, *args, r, wrt=None, tolerance=(1e-5, 1e-7), **options):
    """``backward(g, *args)`` must give the gradients of ``forward`` by its arguments.

    ``forward`` is the oracle, not the answer; ``wrt`` says by which arguments (all
    floats if None); for one, ``backward`` returns an array, else a tuple. The upstream
    gradient ``g`` is random; the message says if it was ignored.
    """

    def function(*xs):
        return forward(*xs, **options)

    wrt = [i for i, a in enumerate(args) if _is_float(a)] if wrt is None else list(wrt)
    g = np.asarray(r(*np.shape(function(*args))))
    received = call(backward, g, *args, **options)
    parts = received if isinstance(received, tuple | list) else (received,)
    what = _title(backward, (g, *args), options)
    given = partial(_given, backward, (g, *args))
    if len(parts) != len(wrt):
        raise Mistake(
            f"{what}: {len(wrt)} gradients must come back; got {len(parts)}\n  with\n"
            + given()
        )
    names = _names(backward, (g, *args))[1:]
    sizes = [n for a in args if isinstance(a, np.ndarray) for n in a.shape]
    for i, part in zip(wrt, parts):
        name = f"{what}: the gradient by {names[i]}"
        expected = numeric(function, args, g, i)
        try:
            same(part, expected, name, given, tolerance, sizes)
        except Mistake as mistake:
            hint = _about_gradient(part, function, args, g, i, expected)
            evidence = (i, mistake.evidence)
            raise Mistake(mistake.message + hint, evidence) from None
    if _brisk.get():
        return
    first = [np.array(plain(part, what)) for part in parts]
    again = call(backward, 2 * g, *args, **options)  # a gradient is linear in g
    again = again if isinstance(again, tuple | list) else (again,)
    for part, a, b in zip(parts, first, again):
        same(b, 2 * a, f"{what}, called again with 2 g", given, tolerance)
        where = f"{what}, its first result after the second call"
        same(part, a, f"{where}: results share memory", given, tolerance)


def _about_gradient(part, function, args, g, i, expected) -> str:
    part = np.asarray(part)
    alone = numeric(function, args, np.ones_like(g), i)
    if part.shape == alone.shape and np.allclose(part, alone, rtol=1e-4, atol=1e-6):
        return (
            "\n  this is the gradient of the plain sum: g, the gradient that comes in "
            "from above, is ignored"
        )
    if part.shape != expected.shape and part.size > expected.size:
        return (
            "\n  a broadcast (or shared) argument collects the gradients of all its "
            "copies: add them up"
        )
    return ""


def adjoint(f, transposed, x, y, what: str):
    """``<f(x), y>`` must be ``<x, transposed(y)>``: one is the other's transpose."""
    left = float((plain(call(f, x), what) * y).sum())
    back = plain(call(transposed, y), what)
    if back.shape != x.shape:
        raise Mistake(f"{what}: shape must be {x.shape}; got {back.shape}", back)
    right = float((x * back).sum())
    if not np.isclose(left, right, rtol=1e-8, atol=1e-9):
        raise Mistake(
            f"{what}: <f(x), y> = {left:.6g}, but <x, f^T(y)> = {right:.6g}: "
            "the one is not the transpose of the other",
            back,
        )


def statistic(samples, expected: float, what: str, spread=None):
    """The mean of ``samples`` must be ``expected``, within six standard errors.

    By chance alone that fails twice in 10^9 runs. ``spread``: the samples' standard
    deviation if it is known, else theirs.
    """
    samples = np.asarray(samples, float).ravel()
    if not np.isfinite(samples).all():
        raise Mistake(f"{what}: there is a NaN or an infinity in it", "not finite")
    spread = float(samples.std() if spread is None else spread)
    error = 6 * spread / np.sqrt(samples.size) + 1e-12
    mean = float(samples.mean())
    if abs(mean - expected) > error:
        raise Mistake(
            f"{what} must be {expected:.4g} on average; got {mean:.4g} over "
            f"{samples.size:,} samples (chance explains {error:.2g})",
            (what, np.asarray(mean)),
        )


def distribution(samples, cdf, what: str):
    """The shares of ``samples`` below each of them must be what ``cdf`` says.

    Both may differ by 3 / sqrt(n): by chance alone that fails at most 3 times in 10^8
    runs, 2 exp(-2 * 3^2), whatever the distribution. ``cdf`` takes sorted samples.

    Source: Dvoretzky, Kiefer and Wolfowitz 1956; Massart 1990, for the constant.
    """
    samples = np.sort(np.asarray(samples, float).ravel())
    right, n = cdf(samples), samples.size
    shares = np.arange(n + 1) / n
    distance = max((shares[1:] - right).max(), (right - shares[:-1]).max())
    limit = 3 / np.sqrt(n)
    if not distance <= limit:
        raise Mistake(
            f"{what}: the shares of small and large numbers are up to {distance:.3g} "
            f"off, in {n:,} samples (chance explains {limit:.2g})",
            (what, np.asarray(distance)),
        )


def normal_cdf(x):
    """The share of standard normal numbers below each x."""
    return np.array([(1 + math.erf(a / math.sqrt(2))) / 2 for a in x])


def learns(run, baseline, what: str, seeds=(0, 1, 2), slack=1.25):
    """The final loss of ``run(seed)`` must be about that of ``baseline(seed)``.

    The median over the seeds may be ``slack`` times as large: never a fixed number.
    """
    losses = [float(np.asarray(plain(run(seed), what))) for seed in seeds]
    usual = [float(np.asarray(baseline(seed))) for seed in seeds]
    ours, theirs = np.median(losses), np.median(usual)
    if not ours <= slack * theirs:
        raise Mistake(
            f"{what}: after training the loss is {ours:.4g} (median of {len(losses)} "
            f"seeds); the reference reaches {theirs:.4g} beside it",
            np.asarray(losses),
        )


def faster(f, naive, *args, factor: float, what: str, rounds=7):
    """``f`` must be ``factor`` times as fast as ``naive``, timed in turn right now."""
    f(*args), naive(*args)  # compile, fill caches
    ratios = []
    for _ in range(rounds):
        times = []
        for g in (f, naive):
            start = time.perf_counter()
            g(*args)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
    got = float(np.median(ratios))
    if got < factor:
        raise Mistake(
            f"{what} must be {factor:g} times as fast as the plain loop timed beside "
            f"it; got {got:.2f} times",
            "slow",
        )


def raises(error, f, *args, what: str, **options):
    """``f(*args)`` must raise ``error`` (a class, or several)."""
    try:
        call(f, *args, **options)
    except error:
        return
    raise Mistake(
        f"{_title(f, args, options)} must raise {getattr(error, '__name__', error)}: "
        f"{what}",
        "no error",
    )


def on_device(f, *args, **options):
    """On CuPy arrays ``f`` must give what it gives on NumPy's. Needs a GPU."""
    if not backend.is_available():
        raise Unavailable("needs a CUDA GPU and CuPy")
    expected = f(*args, **options)
    moved = [
        backend.to_device(a, "cuda") if isinstance(a, np.ndarray) else a for a in args
    ]
    received = backend.asnumpy(f(*moved, **options))
    same(received, expected, f"{_title(f, args, options)} on the GPU")
