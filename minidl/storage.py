"""Checkpoints that survive a crash: named arrays and a JSON dictionary in one file.

A checkpoint is one safetensors file, so that one rename is one transaction. Its
``__metadata__`` holds ``format``, ``version``, ``meta`` (JSON text) and ``sha256`` (of
the meta text and every array's name, dtype, shape and bytes). Nothing is unpickled.

`save` to ``last.safetensors`` keeps the checkpoint that was there as
``previous.safetensors``: the new file is written and fsynced under a temporary name,
renamed over *last*, and only then the old one over *previous*. So *last* and *previous*
are whole at every step, and a failure before the first rename changes neither.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from .errors import CheckpointError, DtypeError, FileError
from .files import atomic_write

AnyPath = str | os.PathLike
Found = tuple[dict[str, np.ndarray], dict, Path, str | None]
LAST, PREVIOUS = "last.safetensors", "previous.safetensors"
FORMAT, VERSION = "minidl-checkpoint", "1"
_DTYPE = re.compile("bool|u?int(8|16|32|64)|float(16|32|64)")


def save(path: AnyPath, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write a checkpoint to `path`, whole, or change nothing; make missing folders.

    A checkpoint at ``last.safetensors`` is kept as ``previous.safetensors`` if it still
    loads. `meta` is dicts with text keys, lists, tuples (read back as lists), text,
    None, bools, integers and floats, all exact; NaN and infinities are allowed, for a
    run whose loss diverged must still be able to save.

    Raises: CheckpointError if an entry cannot be stored or the file cannot be written
    (it says what is intact); DtypeError for an element type that the format lacks.
    """
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    if not isinstance(meta, dict):
        raise _refusal("meta", "a dict", type(meta).__name__)
    try:
        _check_json("meta", meta)
        header = {"format": FORMAT, "version": VERSION, "meta": json.dumps(meta)}
        header["sha256"] = _digest(header["meta"], stored)
        data = safetensors_numpy.save(stored, metadata=header)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise _refusal("names and meta", "storable as safetensors", error) from error
    keep = None
    if Path(path).name == LAST:
        with suppress(CheckpointError):  # a damaged file must not displace a whole one
            load(path)
            keep = Path(path).with_name(PREVIOUS)
    try:
        atomic_write(path, data, keep)
    except FileError as error:
        raise CheckpointError(f"checkpoint: {error}") from error


def load(path: AnyPath) -> tuple[dict[str, np.ndarray], dict]:
    """Read a checkpoint: arrays (sorted by name, writable, C-contiguous) and meta.

    Raises: CheckpointError if the file is missing, is not safetensors, was not written
    by `save`, has another version, or differs in content from what was saved.
    """
    try:
        data = Path(path).read_bytes()  # one open: a rename meanwhile does no harm
    except OSError as error:
        raise _refusal(path, "a readable file", error.strerror) from error
    whole = "a whole safetensors file"
    end = 8 + int.from_bytes(data[:8], "little")
    if end > len(data):
        raise _refusal(path, whole, f"{len(data)} bytes, not a header of {end}")
    try:
        header = dict(json.loads(data[8:end]).get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _refusal(path, whole, f"an unreadable header: {error}") from error
    for key, expected in ("format", FORMAT), ("version", VERSION):
        if header.get(key) != expected:
            got = f"{key} {header.get(key)!r} (from another program or a newer minidl)"
            raise _refusal(path, f"a minidl checkpoint of {key} {expected!r}", got)
    try:
        found = safetensors_numpy.load(data)
    except (SafetensorError, LookupError, ValueError) as error:
        raise _refusal(path, whole, f"{type(error).__name__}: {error}") from error
    digest = _digest(header.get("meta"), found)
    if digest != header.get("sha256"):
        got = f"damage: its SHA-256 is {digest}, not {header.get('sha256')}"
        raise _refusal(path, "as it was saved", got)
    return {name: found[name] for name in sorted(found)}, json.loads(header["meta"])


def load_latest(folder: AnyPath) -> Found:
    """Read the newest whole checkpoint of a folder: arrays, meta, its path, a warning.

    The warning is None, or a sentence that says why it was ``previous.safetensors``.

    Raises: CheckpointError if neither loads, with both reasons.
    """
    reasons = []
    for path in Path(folder, LAST), Path(folder, PREVIOUS):
        try:
            arrays, meta = load(path)
        except CheckpointError as error:
            reasons.append(str(error).removeprefix("checkpoint: "))
        else:
            warning = f"Falling back to {path}, because {' and '.join(reasons)}."
            return arrays, meta, path, warning if reasons else None
    raise _refusal(folder, "a folder with a whole checkpoint", " and ".join(reasons))


def resolve(path: AnyPath) -> Found:
    """Read what a user named, a folder as `load_latest` does, a file and no other.

    Raises: CheckpointError as `load_latest` or `load` does.
    """
    return load_latest(path) if Path(path).is_dir() else (*load(path), Path(path), None)


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    """The array as safetensors needs it: C order, little-endian, 0-d still 0-d."""
    if not isinstance(name, str) or name == "__metadata__":
        raise _refusal("a name", "text other than '__metadata__'", repr(name))
    if not isinstance(array, np.ndarray):
        raise _refusal(f"arrays[{name!r}]", "a NumPy array", type(array).__name__)
    if not _DTYPE.fullmatch(array.dtype.name):
        message = f"arrays[{name!r}] must be bool, int, or float of 64 bits or less"
        raise DtypeError(f"checkpoint: {message}; got {array.dtype}")
    # The library writes whatever memory follows an array's address, so strides must be
    # C's; `ascontiguousarray` would turn 0-d into 1-d.
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    names = sorted(arrays)
    rows = [[name, arrays[name].dtype.name, arrays[name].shape] for name in names]
    digest = hashlib.sha256(json.dumps([text, rows]).encode())
    for name in names:
        digest.update(arrays[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _check_json(where: str, value: object) -> None:
    """Refuse what JSON would reject, or change without a word (keys become text)."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refusal(f"a key of {where}", "text", repr(key))
            _check_json(f"{where}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_json(f"{where}[{index}]", item)
    elif not (value is None or isinstance(value, str | int | float)):
        raise _refusal(where, "a value that JSON has", type(value).__name__)


def _refusal(what: object, expected: str, got: object) -> CheckpointError:
    return CheckpointError(f"checkpoint: {what} must be {expected}; got {got}")
