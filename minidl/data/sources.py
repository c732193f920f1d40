"""Find a data set by name or by its files, and hand it over checked and uniform."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import folders, registry
from .registry import Source

CHUNK = 4096  # images per histogram step: bounds the memory of mean and std
MOST_CLASSES = 100_000  # a label beyond is a mistake, and a model of its size no help


@dataclass(eq=False, repr=False)
class Dataset:
    """Labelled images, split into a training and a test part.

    Shapes: x_train, x_test uint8 (N, C, H, W), 0..255; y_train, y_test int64 (N,),
    indices into ``classes``.
    Raises: DataError when a part is empty or the parts do not fit together.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: list[str]

    def __post_init__(self):
        for part in ("train", "test"):
            self._check(part, getattr(self, f"x_{part}"), getattr(self, f"y_{part}"))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"{self.name}: x_test must have images of {self.shape} like x_train; "
                f"got {self.x_test.shape[1:]}"
            )

    def _check(self, part, x, y):
        if x.ndim != 4 or x.dtype != np.uint8:
            raise DataError(
                f"{self.name}: x_{part} must be uint8 (N, C, H, W); "
                f"got {x.dtype} {x.shape}"
            )
        if x.size == 0:
            raise DataError(
                f"{self.name}: x_{part} must hold at least one image; got {x.shape}"
            )
        if y.dtype != np.int64 or y.shape != x.shape[:1]:
            raise DataError(
                f"{self.name}: y_{part} must be int64 ({len(x)},), one label an image; "
                f"got {y.dtype} {y.shape}"
            )
        if y.min() < 0 or y.max() >= len(self.classes):
            raise DataError(
                f"{self.name}: y_{part} must be in 0..{len(self.classes) - 1}; "
                f"got {y.min()}..{y.max()}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.x_train.shape[1:]

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel of x_train / 255."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel of x_train / 255; 1 of a constant one."""
        return self._moments[1]

    @cached_property
    def _moments(self):
        # A histogram of the 256 levels is exact and needs no float copy of the images.
        counts = np.zeros((self.shape[0], 256), np.int64)
        for start in range(0, len(self.x_train), CHUNK):
            chunk = self.x_train[start : start + CHUNK]
            for c in range(self.shape[0]):
                counts[c] += np.bincount(chunk[:, c].ravel(), minlength=256)
        share = counts / counts.sum(axis=1, keepdims=True)  # (C, 256)
        levels = np.arange(256) / 255
        mean = share @ levels  # (C,)
        variance = (share * (levels - mean[:, None]) ** 2).sum(axis=1)
        constant = (counts > 0).sum(axis=1) == 1  # nothing there to scale
        std = np.where(constant, 1.0, np.sqrt(variance))
        return tuple(mean.tolist()), tuple(std.tolist())

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {self.shape}, {len(self.x_train)} train, "
            f"{len(self.x_test)} test, {len(self.classes)} classes)"
        )


@dataclass(frozen=True)
class Available:
    """One line of `available`: shape is (C, H, W), where a path, or what to do."""

    name: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    found: bool
    where: str
    licence: str


def load(name: str | None = None, folder: str | os.PathLike | None = None) -> Dataset:
    """The data set called ``name``, or the one in ``folder``, or the embedded default.

    Args: folder is a folder with IDX files, CIFAR binary files or a single ``.npz``, or
    a ``.npz`` file; it is then the only place looked in. Without it a named set is
    looked for in MINIDL_DATA, the download cache and the system's package folder.
    Raises: UnknownNameError for a name that is not in the registry; DataError when the
    files are missing, damaged or another set's.
    """
    if name is None and folder is None:
        name = registry.DEFAULT
    row = None if name is None else registry.find(name)
    place = _place(row) if folder is None else _within(Path(folder).expanduser(), row)
    row, classes, arrays = folders.read(place, row)
    _, y_train, _, y_test = arrays
    if row is not None:
        name, classes = row.name, row.classes
    else:
        name = place.resolve().stem
    if classes is None:
        highest = max(int(y.max(initial=0)) for y in (y_train, y_test))
        if highest >= MOST_CLASSES:
            raise DataError(
                f"{name}: labels must be in 0..{MOST_CLASSES - 1}; got {highest}"
            )
        classes = [str(label) for label in range(highest + 1)]
    data = Dataset(name, *arrays, classes)
    if row is not None and data.shape != row.shape:
        raise DataError(
            f"load: {name} must have images of {row.shape}; got {data.shape}"
        )
    return data


def available() -> list[Available]:
    """The named data sets, and where each was found or how to get it."""
    rows = []
    for row in registry.SOURCES.values():
        place = _find(row)
        where = f"not found: minidl data fetch {row.name}"
        if place is not None:
            where = "embedded" if place == registry.EMBEDDED_FILE else str(place)
        counts = (len(row.classes), row.train, row.test)
        found = place is not None
        rows.append(Available(row.name, row.shape, *counts, found, where, row.licence))
    return rows


def _place(row: Source) -> Path:
    place = _find(row)
    if place is None:
        remedy = f"run `minidl data fetch {row.name}`"
        if row.system_package:
            remedy += f" or `apt-get install {row.system_package}`"
        looked = ", ".join(map(str, _places(row)))
        raise DataError(
            f"load: {row.name} must be on this machine; got nothing in {looked}; "
            f"{remedy}, or name its folder with --data"
        )
    return place


def _find(row: Source) -> Path | None:
    return next((place for place in _places(row) if folders.holds(place, row)), None)


def _places(row: Source) -> list[Path]:
    """Where a named set may be, in the order of looking."""
    if row.layout == "npz":
        return [registry.EMBEDDED_FILE]
    places = []
    own = os.environ.get("MINIDL_DATA")
    if own:
        places += _nested(Path(own).expanduser(), row)
    places.append(registry.cache_folder() / row.name)
    if row.system_folder:
        places.append(Path(row.system_folder))
    return places


def _within(folder: Path, row: Source | None) -> Path:
    """The part of the user's folder that holds the set, else the folder itself."""
    if row is None or folder.is_file():
        return folder
    nested = _nested(folder, row)
    return next((place for place in nested if folders.layout_of(place, row)), folder)


def _nested(folder: Path, row: Source) -> list[Path]:
    return [*(folder / sub for sub in (row.name, *row.subfolders)), folder]
