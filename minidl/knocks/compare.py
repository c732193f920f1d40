"""What differs between an answer and the right one, said so that it teaches."""

import numpy as np

from ..tensor import Tensor
from .grader import Mistake

TOLERANCE = (1e-9, 1e-11), (1e-4, 1e-5)  # relative, absolute: float64, float32
SMALL = 24  # elements of an input that are shown


def draw(value) -> str:
    """A value in few characters: small arrays whole, others by their shape."""
    if isinstance(value, Tensor):
        value = value.data
    if not isinstance(value, np.ndarray):
        return repr(value) if len(repr(value)) <= 60 else f"{type(value).__name__} ..."
    if value.size > SMALL or value.size == 0:
        return f"{value.dtype} array of shape {value.shape}"
    text = np.array2string(value, precision=3, suppress_small=True, separator=", ")
    return text if "\n" not in text else "\n      " + text.replace("\n", "\n      ")


def inputs(names, args) -> str:
    """The arguments of a call, one below the other."""
    return "\n".join(f"    {name} = {draw(a)}" for name, a in zip(names, args))


def plain(value, what):
    """An answer as an array. Raises: Mistake if it is none, and says what came."""
    try:
        return _plain(value)
    except Mistake as mistake:
        text = f"{_text(what)}: {mistake.message}"
        raise Mistake(text, mistake.evidence) from None


def _plain(value):
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Tensor):
        return value.data
    if value is None:
        raise Mistake("None came back: is a return missing?", "None")
    if isinstance(value, list):
        raise Mistake("a list came back; make it an array: np.array(...)", "list")
    if not isinstance(value, np.generic | float | int | bool):
        kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
        raise Mistake(f"a NumPy array must come back; got {kind}", kind)
    return np.asarray(value)


def same(received, expected, what, given="", tolerance=None, sizes=()):
    """Raise `Mistake` at the first element that is not as expected.

    ``what`` (the thing compared) and ``given`` (the inputs) are texts, or functions
    that make them: they are seldom wanted.
    ``sizes``: numbers that a wrong factor may be.
    """
    if isinstance(expected, tuple | list):
        return _same_many(received, expected, what, given, tolerance, sizes)
    try:
        return _same(received, expected, tolerance, sizes)
    except Mistake as mistake:
        text = f"{_text(what)}: {mistake.message}{_with(given)}"
        raise Mistake(text, mistake.evidence) from None


def _text(words) -> str:
    return words() if callable(words) else words


def _with(given) -> str:
    text = _text(given)
    return f"\n  with\n{text}" if text else ""


def _same(received, expected, tolerance, sizes):
    received, expected = _plain(received), _plain(expected)
    if received.shape != expected.shape:
        text = f"shape must be {expected.shape}; got {received.shape}"
        raise Mistake(text + _about_shape(received, expected), received)
    if received.dtype.kind != expected.dtype.kind or (
        expected.ndim and received.dtype != expected.dtype
    ):
        raise Mistake(f"dtype must be {expected.dtype}; got {received.dtype}")
    good = _close(received, expected, tolerance)
    if good.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~good)[0])
    place = f"[{', '.join(map(str, at))}]" if at else ""
    count = f"{np.count_nonzero(~good)} of {good.size} elements are wrong; first"
    count = count if good.size > 1 else "the value is wrong:"
    lines = [
        f"{count} {place}".rstrip(),
        f"    received {_number(received[at])}",
        f"    expected {_number(expected[at])}",
    ]
    pattern = _about_values(received, expected, sizes)
    raise Mistake("\n".join(lines) + pattern, received)


def _same_many(received, expected, what, given, tolerance, sizes):
    if not isinstance(received, tuple | list) or len(received) != len(expected):
        got = f"{len(received)}" if isinstance(received, tuple | list) else "one"
        text = f"{_text(what)}: {len(expected)} results must come back; got {got}"
        raise Mistake(text + _with(given))
    for i, (r, e) in enumerate(zip(received, expected)):
        try:
            same(r, e, lambda: f"{_text(what)}, result {i}", given, tolerance, sizes)
        except Mistake as mistake:
            raise Mistake(mistake.message, (i, mistake.evidence)) from None


def _close(received, expected, tolerance):
    if expected.dtype.kind not in "fc":
        return np.asarray(received == expected)
    rtol, atol = tolerance or TOLERANCE[expected.dtype == np.float32]
    size = np.abs(expected)
    top = size.max(initial=0)
    finite = None if np.isfinite(top) else np.isfinite(expected)
    if finite is not None:
        size = np.where(finite, size, 0)
        top = size.max(initial=0)
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(received - expected) <= atol + rtol * (size + top)
    if finite is not None:  # the same infinity, and NaN where NaN is expected
        same = (received == expected) | (np.isnan(received) & np.isnan(expected))
        close = np.where(finite, close, same)
    return np.asarray(close)


def _number(value) -> str:
    return f"{value:.6g}" if np.asarray(value).dtype.kind == "f" else str(value)


def _about_shape(received, expected) -> str:
    if received.shape == expected.shape[::-1]:
        return ": transposed"
    if received.size == expected.size:
        return ": the same number of elements, laid out in another way"
    if received.ndim > expected.ndim or received.size > expected.size:
        return ": is a sum (or a mean) over an axis missing?"
    return ""


def _about_values(received, expected, sizes) -> str:
    """A sentence on how all elements are wrong together, if there is one."""
    if expected.dtype.kind != "f":
        return ""
    if not np.isfinite(received).all() and np.isfinite(expected).all():
        return "\n  there is a NaN or an infinity in it"
    clear = np.abs(expected) > 1e-6 * np.abs(expected).max(initial=0)
    if not clear.any():
        return ""
    ratios = received[clear] / expected[clear]
    ratio = float(np.median(ratios))
    if np.allclose(received, ratio * expected, rtol=1e-4, atol=1e-8):
        hint = _about_ratio(ratio, sizes)
        if hint or received.size > 1 and abs(ratio - 1) > 1e-3:
            where = "everywhere" if received.size > 1 else "as large"
            return f"\n  {ratio:.3f}x {where}{hint}"
    difference = received - expected
    if received.size > 1 and np.allclose(difference, difference.flat[0], rtol=1e-4):
        return f"\n  off by {difference.flat[0]:+.4g} everywhere"
    square = received.ndim >= 2 and received.shape[-1] == received.shape[-2]
    if square and np.allclose(received.swapaxes(-1, -2), expected, rtol=1e-4):
        return "\n  transposed: the last two axes are exchanged"
    if received.size > 2:
        ours, theirs = np.sort(received.ravel()), np.sort(expected.ravel())
        if np.allclose(ours, theirs, rtol=1e-4, atol=1e-8):
            return "\n  the right numbers, in another order"
    return ""


def _about_ratio(ratio, sizes) -> str:
    if abs(ratio) < 1e-6:
        return ": zeros came back"
    if np.isclose(ratio, -1, rtol=1e-4):
        return ": the sign is flipped"
    for n in sorted({int(n) for n in sizes if int(n) > 1}, reverse=True):
        if np.isclose(ratio, n, rtol=1e-4):
            return f": {n} times too large; a sum where a mean is wanted, or twice?"
        if np.isclose(ratio, 1 / n, rtol=1e-4):
            return f": divided by {n}; a mean where a sum is wanted?"
    return ""
