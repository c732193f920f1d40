"""Options of windowed ops and axes, as users write them and as kernels want them."""

from ..backend import float32, float64
from ..errors import ArgumentError, DtypeError, ShapeError


LIMIT = 1 << 31  # of an option in pixels: what loops compute from it fits 64 bits


def pair(where: str, name: str, value, least: int) -> tuple[int, int]:
    """``value`` (an int or two, each >= ``least``) as (vertical, horizontal)."""
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    whole = all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values)
    if len(values) != 2 or not whole or min(values) < least:
        raise ArgumentError(
            f"{where}: {name} must be an integer >= {least} or a pair of them; "
            f"got {value!r}"
        )
    if max(values) >= LIMIT:
        raise ArgumentError(f"{where}: {name} must be below 2^31; got {value!r}")
    return tuple(int(v) for v in values)


def padding_pairs(where, padding, kernel, stride, dilation):
    """``((top, bottom), (left, right))`` from an int, a pair, two pairs or a word.

    The words are torch's: ``"valid"`` (none) and ``"same"`` (stride 1 only; of an odd
    total the extra row goes to the bottom, the extra column to the right).
    """
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding == "same":
        if stride != (1, 1):
            raise ArgumentError(f"{where}: padding 'same' needs stride 1; got {stride}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((t // 2, t - t // 2) for t in total)
    pairs = isinstance(padding, tuple | list) and len(padding) == 2
    if pairs and isinstance(padding[0], tuple | list):
        return tuple(pair(where, "padding", p, 0) for p in padding)
    if isinstance(padding, str):
        raise ArgumentError(
            f"{where}: padding must be integers, 'valid' or 'same'; got {padding!r}"
        )
    return tuple((p, p) for p in pair(where, "padding", padding, 0))


def image(where: str, name: str, x) -> None:
    """Raise unless ``x`` is a batch of images (N, C, H, W) of floats."""
    floats(where, name, x)
    if x.ndim != 4:
        raise ShapeError(
            f"{where}: {name} must be 4-D (N, C, H, W); got {tuple(x.shape)}"
        )


def floats(where: str, name: str, x) -> None:
    """Raise unless ``x`` is float32 or float64, in this machine's byte order."""
    if x.dtype not in (float32, float64):
        raise DtypeError(
            f"{where}: {name} must be float32 or float64; got {x.dtype}; use .to(dtype)"
        )


def fits(where, size, kernel, out) -> None:
    """Raise unless at least one window fits into the padded image."""
    if min(out) < 1:
        raise ShapeError(
            f"{where}: kernel {kernel} with its dilation must fit into the padded "
            f"image; got image {tuple(size)}"
        )


def axes(where: str, dim, ndim: int) -> tuple[int, ...]:
    """``dim`` (None for all, an int, or several) as sorted axes >= 0; none of a 0-d."""
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    found = sorted(axis(where, d, ndim) for d in dims)
    if len(set(found)) < len(found):
        raise ArgumentError(f"{where}: dim must name each axis once; got {dim!r}")
    return tuple(found) if ndim else ()


def axis(where: str, dim, ndim: int) -> int:
    """One axis, counted from the end when negative, as an index >= 0."""
    limit = max(ndim, 1)
    if not hasattr(dim, "__index__") or not -limit <= dim < limit:
        raise ArgumentError(
            f"{where}: dim must be an integer in [{-limit}, {limit - 1}]; got {dim!r}"
        )
    return int(dim) % limit
