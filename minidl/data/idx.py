"""The IDX format of MNIST and Fashion-MNIST: a header, then one array, big-endian.

Bytes ``00 00 TT ND``, then ND unsigned 32-bit sizes, then the elements; TT names the
element type. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of
handwritten digits", section "File formats".
"""

import math
import os
import struct
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..files import atomic_write

TYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file, plain or gzipped (told by content, not by name).

    Shapes: as the header says, for example (60000, 28, 28); native bytes, writable.
    Raises: DataError when the file is missing, is not IDX, or holds fewer or more bytes
    than its header announces.
    """
    data = _content(Path(path))
    if len(data) < 4:
        raise DataError(
            f"read_idx: {path} must start with a 4-byte magic number; "
            f"got a file of {len(data)} bytes"
        )
    zero, code, rank = struct.unpack(">HBB", data[:4])
    if zero or code not in TYPES:
        known = ", ".join(f"{c:02x}" for c in TYPES)
        raise DataError(
            f"read_idx: {path} must start with the magic number 00 00 TT ND, "
            f"TT one of {known}; got {data[:4].hex(' ')}"
        )
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataError(
            f"read_idx: {path} must have a header of {start} bytes; "
            f"got {len(data)} (truncated)"
        )
    shape = struct.unpack(f">{rank}I", data[4:start])
    dtype = TYPES[code]
    expected, got = math.prod(shape) * dtype.itemsize, len(data) - start
    if got != expected:
        what = "truncated" if got < expected else "trailing bytes"
        raise DataError(
            f"read_idx: {path} must hold {expected} bytes of data for shape {shape}; "
            f"got {got} ({what})"
        )
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))  # a copy: the buffer is read-only


def write_idx(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write ``array`` as an uncompressed IDX file, atomically.

    Raises: DataError when IDX has no code for the element type.
    """
    array = np.asarray(array)
    wanted = array.dtype.newbyteorder(">")
    codes = [code for code, dtype in TYPES.items() if dtype == wanted]
    if not codes:
        names = ", ".join(dtype.name for dtype in TYPES.values())
        raise DataError(f"write_idx: array must be one of {names}; got {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, codes[0], array.ndim, *array.shape)
    atomic_write(path, header + array.astype(wanted).tobytes())


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"read_idx: path must be a readable IDX file; got {path} ({error.strerror})"
        ) from error
    if not raw.startswith(GZIP_MAGIC):
        return raw
    import gzip
    import zlib

    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise DataError(
            f"read_idx: {path} must be a whole gzip file; got {len(raw)} bytes that do "
            f"not unpack, truncated or damaged ({error})"
        ) from error
