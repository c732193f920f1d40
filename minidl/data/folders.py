"""Tell which data set a folder holds from the names of its files, and read it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from . import cifar, registry
from .idx import read_idx
from .npz import KEYS, read_npz
from .registry import IDX_FILES, Source

LAYOUTS = {
    "idx": IDX_FILES,
    "cifar10": (*cifar.CIFAR10_TRAIN, cifar.CIFAR10_TEST),
    "cifar100": (cifar.CIFAR100_TRAIN, cifar.CIFAR100_TEST),
}


class Contents(NamedTuple):
    """What `read` found: the registry's row when the set is a known one."""

    row: Source | None
    classes: list[str] | None
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def layout_of(place: Path, row: Source | None = None) -> str | None:
    """The layout of a folder or file, None if there is none or it is not the row's."""
    if place.is_file():
        return "npz"
    named = row is not None and row.layout in LAYOUTS
    for layout in (row.layout,) if named else LAYOUTS:
        if not missing(place, layout):
            return layout
    return "npz" if len(list(place.glob("*.npz"))) == 1 else None


def missing(folder: Path, layout: str) -> list[str]:
    """The files of a layout that ``folder`` lacks."""
    find = _idx_path if layout == "idx" else Path.joinpath
    return [name for name in LAYOUTS[layout] if not find(folder, name).is_file()]


def holds(place: Path, row: Source) -> bool:
    """Whether ``place`` has the files of ``row``, and not those of a namesake."""
    if row.layout not in LAYOUTS:
        return place.is_file()
    if missing(place, row.layout):
        return False
    if row.layout != "idx":
        return True
    try:
        owner = _owner(read_idx(_idx_path(place, IDX_FILES[1])))
    except DataError:
        return True  # found but damaged: reading it will say so
    return owner in (None, row)


def read(place: Path, row: Source | None = None) -> Contents:
    """The arrays at ``place``, images as (N, C, H, W) and labels as int64.

    Raises: DataError when no layout fits, or a file is damaged or another set's.
    """
    layout = layout_of(place, row)
    if layout == "idx":
        return _read_idx(place, row)
    if layout == "npz":
        file = place if place.is_file() else next(place.glob("*.npz"))
        found = read_npz(file)
        return Contents(row, found.get("classes"), tuple(found[key] for key in KEYS))
    if layout is None:
        raise DataError(_nothing(place, row))
    readers = {"cifar10": cifar.read_cifar10, "cifar100": cifar.read_cifar100}
    return Contents(row or registry.find(layout), None, readers[layout](place))


def _read_idx(place, row):
    arrays = []
    for number, name in enumerate(IDX_FILES):
        path = _idx_path(place, name)
        array = read_idx(path)
        rank = 1 if number % 2 else 3  # images, labels, images, labels
        if array.ndim != rank or array.dtype != np.uint8:
            raise DataError(
                f"idx: {path} must be uint8 of rank {rank}; "
                f"got {array.dtype} {array.shape}"
            )
        arrays.append(array.astype(np.int64) if number % 2 else array[:, None])
    owner = _owner(arrays[1])
    if row is not None and owner not in (None, row):
        raise DataError(f"idx: {place} must hold {row.name}; got {owner.name}")
    return Contents(row or owner, None, tuple(arrays))


def _idx_path(folder, name):
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _owner(labels):
    # All IDX sets share their file names; the first labels tell whose they are.
    for row in registry.SOURCES.values():
        count = len(row.first_labels)
        if count and tuple(labels[:count].ravel().tolist()) == row.first_labels:
            return row
    return None


def _nothing(place, row):
    if not place.exists():
        return f"data: folder must be a folder or a .npz file; got {place} (missing)"
    named = row is not None and row.layout in LAYOUTS
    wanted = {row.layout: LAYOUTS[row.layout]} if named else LAYOUTS
    gaps = [(missing(place, layout), names) for layout, names in wanted.items()]
    partly = [gap for gap, names in gaps if len(gap) < len(names)]
    if partly:
        lacking = ", ".join(min(partly, key=len))
        return f"data: {place} must hold a whole data set; got all but {lacking}"
    count = len(list(place.glob("*.npz")))
    return (
        f"data: {place} must hold {IDX_FILES[0]}[.gz] and its three companions, CIFAR "
        "binary files (data_batch_1.bin ... or train.bin), or a single .npz file; "
        f"got {count or 'none'}{' .npz files' if count else ''}"
    )
