"""A user's own images: one ``.npz`` file with x_train, y_train, x_test, y_test."""

import os
from pathlib import Path

import numpy as np

from ..errors import DataError

KEYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 2, 3, 4)


def read_npz(path: str | os.PathLike) -> dict:
    """The four arrays of a ``.npz`` file, and ``classes`` when it names them.

    Shapes: images in the file are (N, H, W), (N, C, H, W) or (N, H, W, C). The channel
    axis of a rank-4 array is axis 1 if that has 1 to 4 entries, else the last axis if
    that has. They come back uint8 (N, C, H, W); labels, (N,) or (N, 1), int64 (N,).
    Args: integer pixels are 0..255; float pixels are 0..1 when none exceeds 1, and are
    then rounded to 256 levels, else 0..255. ``classes`` is an array of strings.
    Raises: DataError when the file is missing or damaged, lacks an array, holds Python
    objects, NaN or inf, or has pixels or labels of another kind.
    """
    arrays = _members(Path(path))
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        got = ", ".join(arrays) or "none"
        raise DataError(f"npz: {path} must hold {', '.join(KEYS)}; got {got}")
    for key in ("x_train", "x_test"):
        arrays[key] = _checked_images(arrays[key], f"{key} of {path}")
    # One decision for both parts: a dark test set must not be scaled differently.
    floats = [x for x in (arrays["x_train"], arrays["x_test"]) if x.dtype.kind == "f"]
    unit = all(x.size == 0 or x.max() <= 1 for x in floats)
    for key in ("x_train", "x_test"):
        x = arrays[key]
        scale = 255 if x.dtype.kind == "f" and unit else 1
        x = x if x.dtype == np.uint8 else np.rint(x * scale).astype(np.uint8)
        arrays[key] = np.ascontiguousarray(_channels_first(x, f"{key} of {path}"))
    for key in ("y_train", "y_test"):
        arrays[key] = _labels(arrays[key], f"{key} of {path}")
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise DataError(
                f"npz: classes of {path} must be a vector of strings; "
                f"got {names.dtype} {names.shape}"
            )
        arrays["classes"] = names.tolist()
    return arrays


def _members(path):
    import zipfile
    import zlib

    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(
                    f"npz: {path} must be a whole .npz archive; got something else, "
                    "or a truncated one"
                )
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                names = [key for key in (*KEYS, "classes") if key in archive]
                return {key: archive[key] for key in names}
    except OSError as error:
        raise DataError(
            f"npz: path must be a readable .npz file; got {path} ({error})"
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"npz: {path} must hold plain arrays; got a damaged file or Python objects "
            f"({error})"
        ) from error


def _checked_images(x, where):
    if x.dtype.kind not in "uif":
        raise DataError(f"npz: {where} must be integer or float images; got {x.dtype}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError(f"npz: {where} must be finite; got NaN or inf")
    if x.size and (x.min() < 0 or x.max() > 255):
        raise DataError(
            f"npz: {where} must have pixels in 0..255 (or floats in 0..1); "
            f"got {x.min()}..{x.max()}"
        )
    return x


def _channels_first(x, where):
    if x.ndim == 3:
        return x[:, None]  # (N, H, W) -> (N, 1, H, W)
    if x.ndim == 4 and x.shape[1] in CHANNELS:
        return x
    if x.ndim == 4 and x.shape[3] in CHANNELS:
        return x.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    raise DataError(
        f"npz: {where} must be (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 to 4 "
        f"channels; got {x.shape}"
    )


def _labels(y, where):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "ui":
        raise DataError(
            f"npz: {where} must be a vector of integers; got {y.dtype} {y.shape}"
        )
    return y.astype(np.int64)
