"""Make the embedded data set from the official files of Fashion-MNIST.

``python -m minidl.data.embedded [SOURCE_FOLDER]`` writes fashion_mnist_mini.npz beside
this module: 500 training and 100 test images of each class, byte for byte the same on
every run.
"""

import io
import os
import sys
from pathlib import Path

import numpy as np

from ..errors import DataError, MinidlError
from ..files import atomic_write
from . import registry
from .sources import Dataset, load

SEED = 2017  # the year of the data set


def subset(data: Dataset) -> dict[str, np.ndarray]:
    """The class-balanced subset as x_train, y_train, x_test, y_test.

    Shapes: images uint8 (5000, 28, 28) and (1000, 28, 28); labels uint8.
    Raises: DataError when a class has too few images.
    """
    row = registry.find(registry.DEFAULT)
    # NumPy promises the raw stream of a bit generator for ever, but not what a
    # Generator draws from it; so the order is that of raw random keys.
    bits = np.random.PCG64(SEED)
    arrays = {}
    parts = (
        ("train", data.x_train, data.y_train, row.train),
        ("test", data.x_test, data.y_test, row.test),
    )
    for part, x, y, total in parts:
        order = np.argsort(bits.random_raw(len(y)), kind="stable")
        wanted = total // len(row.classes)
        chosen = np.zeros(len(y), bool)
        for label, name in enumerate(row.classes):
            members = order[y[order] == label]
            if len(members) < wanted:
                raise DataError(
                    f"embedded: {part} must have {wanted} images of {name}; "
                    f"got {len(members)}"
                )
            chosen[members[:wanted]] = True
        order = order[chosen[order]]
        arrays[f"x_{part}"] = x[order, 0]
        arrays[f"y_{part}"] = y[order].astype(np.uint8)
    return arrays


def build(
    source: str | os.PathLike | None = None,
    target: str | os.PathLike = registry.EMBEDDED_FILE,
) -> Path:
    """Write the subset to ``target``, atomically, and return the path.

    Args: source is a folder with the official files; by default they are looked for
    as `load` does.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **subset(load("fashion-mnist", source)))
    atomic_write(target, buffer.getvalue())
    return Path(target)


def main(arguments: list[str]) -> int:
    """The command: 0 when written, 1 after an error message, 2 for a wrong call."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print("usage: python -m minidl.data.embedded [SOURCE_FOLDER]", file=sys.stderr)
        return 2
    try:
        path = build(*arguments)
    except (MinidlError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
