"""Errors that say which op, which argument, what was expected and what came.

Every message reads ``op: argument must be X; got Y``, so that a reader never has to
decode a NumPy broadcast message. All of them are `MinidlError`; each is also the
built-in exception a Python programmer would expect to catch.
"""


class MinidlError(Exception):
    """Base of every error that minidl raises on purpose."""


class ShapeError(MinidlError, ValueError):
    """A rank or size does not fit the operation."""


class DtypeError(MinidlError, TypeError):
    """An element type does not fit, or two do not agree."""


class ArgumentError(MinidlError, ValueError):
    """An option is out of its range or of the wrong kind."""


class RangeError(MinidlError, IndexError):
    """An index or label lies outside the axis it addresses."""


class BackendError(MinidlError, RuntimeError):
    """A device is missing, or arrays of two devices meet."""


class GradError(MinidlError, RuntimeError):
    """A gradient was asked for where none is defined."""


class AnomalyError(GradError):
    """An op made a NaN or inf while `detect_anomaly()` was watching."""


class DataError(MinidlError, ValueError):
    """A data set is missing, truncated or not what its name says."""


class FileError(MinidlError, OSError):
    """A file could not be written; what was there before is intact."""


class CheckpointError(MinidlError, RuntimeError):
    """A checkpoint is missing, damaged, foreign or could not be written."""


class UnknownNameError(MinidlError, LookupError):
    """A model, data set or option name that the registry does not hold."""


class MinidlWarning(UserWarning):
    """What was asked for is legal, but not what one would want."""


def unknown_name(kind, name, known):
    """An `UnknownNameError` that suggests the nearest known names."""
    from difflib import get_close_matches

    known = sorted(known)
    near = " or ".join(get_close_matches(str(name), known, n=3, cutoff=0.5))
    hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return UnknownNameError(f"{kind}: no {kind} is named {name!r}; {hint}")
