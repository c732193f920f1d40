"""What an op refuses, and in which words: the checks around a primitive's call."""

from . import backend
from .backend import device_of, is_array
from .errors import (
    AnomalyError,
    ArgumentError,
    BackendError,
    DtypeError,
    GradError,
    ShapeError,
)


def bind(op, args: tuple, options: dict) -> tuple[tuple, dict]:
    """Arguments as an op's forward wants them: arrays in place, every option named.

    Options may be given by position after the arrays, arrays by name, as in torch.
    """
    if not op.variadic:
        if len(args) > op.arity + len(op.options):
            most = op.arity + len(op.options)
            raise ArgumentError(f"{op.name}: at most {most} arguments; got {len(args)}")
        by_position = dict(zip(op.options, args[op.arity :]))
        if twice := by_position.keys() & options.keys():
            raise ArgumentError(f"{op.name}: {', '.join(twice)} was given twice")
        options = options | by_position
        args = args[: op.arity]
        for name in op.arrays[len(args) :]:
            if name not in options and name not in op.optional:
                raise ArgumentError(f"{op.name}: {name} must be given")
            args += (options.pop(name, None),)
    options = op.defaults | options
    if options.keys() != set(op.options):
        missing = [name for name in op.options if name not in options]
        unknown = [name for name in options if name not in op.options]
        wrong = f"{missing[0]} must be given" if missing else f"{unknown[0]} is unknown"
        known = ", ".join(op.options) or "none"
        raise ArgumentError(f"{op.name}: option {wrong}; its options: {known}")
    return args, options


def constant(op, value):
    """The array of an argument that is neither a Tensor nor a Python number."""
    if is_array(value):
        return value
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy scalar: its value, not its power to promote
        if isinstance(value, float | int):
            return value
    kind = type(value).__name__
    raise DtypeError(f"{op.name}: argument must be a Tensor or a number; got {kind}")


def agree(op, arrays: list):
    """The one dtype of all arrays; bool masks and, where indices go, integers may join.

    Raises: BackendError for mixed devices, DtypeError for mixed types.
    """
    arrays = [a for a in arrays if is_array(a)]
    devices = [device_of(a) for a in arrays]
    if len(set(devices)) > 1:
        shown = ", ".join(devices)
        raise BackendError(
            f"{op.name}: tensors must be on one device; got {shown}; use .to(device)"
        )
    floats = {a.dtype for a in arrays if a.dtype.kind == "f"}
    numbers = {a.dtype for a in arrays if a.dtype.kind != "b"}
    takes_indices = None in op.vjps and not op.broadcasts
    if len(floats) > 1 or (len(numbers) > 1 and not takes_indices):
        shown = ", ".join(str(a.dtype) for a in arrays)
        raise DtypeError(
            f"{op.name}: tensors must have one dtype; got {shown}; use .to(dtype)"
        )
    return (floats or numbers or {arrays[0].dtype}).pop()


def check_kept_dtype(op, y, dtype) -> None:
    """Raise if an op would turn its inputs' type into another float type."""
    if y.dtype.kind == "f" and y.dtype != dtype and not op.casts:
        raise DtypeError(
            f"{op.name}: tensor must be float32 or float64; got {dtype}; use .to(dtype)"
        )


def explain(op, error, arrays, options):
    """Raise what NumPy said as a sentence that names the op and what it was given."""
    if options.keys() != set(op.options):
        bind(op, tuple(arrays), options)  # raises, naming the wrong option
    shown = [f"{a.dtype}{tuple(a.shape)}" if is_array(a) else repr(a) for a in arrays]
    given = ", ".join(shown + [f"{k}={v!r}" for k, v in options.items()])
    if op.broadcasts and "broadcast" in str(error):
        raise ShapeError(f"{op.name}: shapes must broadcast; got {given}") from error
    kind = ShapeError if isinstance(error, ValueError) else ArgumentError
    raise kind(f"{op.name}: cannot take ({given}): {error}") from error


def check_finite(op, arrays, options, y) -> None:
    """Raise AnomalyError if ``y`` holds a NaN or inf, saying where it came from."""
    xp = backend.xp_of(y)
    if y.dtype.kind != "f" or bool(xp.isfinite(y).all()):
        return
    value = "nan" if bool(xp.isnan(y).any()) else "inf"
    origin = "its inputs were finite"
    for i, a in enumerate(arrays):
        if is_array(a) and a.dtype.kind == "f" and not bool(xp.isfinite(a).all()):
            origin = f"argument {i} already held a nan or inf"
    raise AnomalyError(f"{op.name}: output holds {value}; {origin}")


def check_gradient(op, i, x, gx) -> None:
    """Raise unless ``gx`` has the shape and type of the input it belongs to."""
    if gx.shape != x.shape or gx.dtype != x.dtype:
        raise GradError(
            f"{op.name}: gradient of argument {i} must be {x.dtype}{x.shape}; "
            f"got {gx.dtype}{gx.shape}"
        )
