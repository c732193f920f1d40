"""The binary editions of CIFAR-10 and CIFAR-100: fixed-size records, never pickle.

A record is its label bytes, then 3,072 pixel bytes: the red, green and blue planes of a
32x32 image, row by row. CIFAR-10 has one label byte, CIFAR-100 two (coarse, then fine).
Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
and its page "The CIFAR-10 dataset", section "Binary version".
"""

import os
from pathlib import Path

import numpy as np

from ..errors import DataError

CIFAR10_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR10_TEST = "test_batch.bin"
CIFAR100_TRAIN = "train.bin"
CIFAR100_TEST = "test.bin"
IMAGE_SHAPE = (3, 32, 32)
PIXELS = 3072

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read_cifar10(folder: str | os.PathLike, records: int = 10_000) -> Arrays:
    """``(x_train, y_train, x_test, y_test)`` from the six files of CIFAR-10.

    Shapes: images uint8 (5 * records, 3, 32, 32) and (records, 3, 32, 32); labels
    int64.
    Args: records in each file; 10,000 in the published files.
    Raises: DataError when a file is missing or not exactly as long as it should be.
    """
    folder = Path(folder)
    train = _read([folder / name for name in CIFAR10_TRAIN], 1, records)
    return *train, *_read([folder / CIFAR10_TEST], 1, records)


def read_cifar100(
    folder: str | os.PathLike, train_records: int = 50_000, test_records: int = 10_000
) -> Arrays:
    """``(x_train, y_train, x_test, y_test)`` of CIFAR-100 with its 100 fine labels.

    Shapes: images uint8 (train_records, 3, 32, 32) and (test_records, 3, 32, 32);
    labels int64.
    Raises: DataError when a file is missing or not exactly as long as it should be.
    """
    folder = Path(folder)
    train = _read([folder / CIFAR100_TRAIN], 2, train_records)
    return *train, *_read([folder / CIFAR100_TEST], 2, test_records)


def _read(paths, label_bytes, records):
    images = np.empty((len(paths), records, *IMAGE_SHAPE), np.uint8)
    labels = np.empty((len(paths), records), np.int64)
    for number, path in enumerate(paths):
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"cifar: path must be a readable file; got {path} ({error.strerror})"
            ) from error
        length = label_bytes + PIXELS
        if len(raw) != records * length:
            raise DataError(
                f"cifar: {path} must be {records * length} bytes "
                f"({records} records of {length}); got {len(raw)}"
            )
        table = np.frombuffer(raw, np.uint8).reshape(records, length)
        labels[number] = table[:, label_bytes - 1]  # the fine label is the last one
        images[number] = table[:, label_bytes:].reshape(records, *IMAGE_SHAPE)
    return images.reshape(-1, *IMAGE_SHAPE), labels.reshape(-1)
