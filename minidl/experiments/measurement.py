"""An experiment that measures something row by row, rather than to train variants."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .. import data, files
from ..errors import ArgumentError

QUICK_SEEDS = 2


class Task(NamedTuple):
    """What a measurement is to work on."""

    images: data.Dataset
    quick: bool
    seeds: int


@dataclass(frozen=True)
class Measurement:
    """A question about a paper and what is measured to answer it.

    ``rows(task)`` yields dicts of numbers and texts under the same keys; keys that
    begin with an underscore are for the picture alone. ``conclude(rows)`` gives
    sentences, ``draw(rows, path)`` makes the picture and returns its path.
    """

    name: str
    question: str
    source: str
    rows: Callable[[Task], Iterator[dict]]
    conclude: Callable[[list[dict]], list[str]]
    draw: Callable[[list[dict], Path], Path]
    seeds: int = 3


def visible(row: dict) -> dict:
    """A row without what is for the picture alone."""
    return {key: value for key, value in row.items() if not key.startswith("_")}


def run(
    measurement: Measurement,
    images: data.Dataset,
    folder,
    quick: bool = False,
    seeds: int | None = None,
    report: Callable[[dict], None] = lambda row: None,
    found: list[dict] | None = None,
) -> list[dict]:
    """All rows; ``results.csv`` grows with each, and ``report(row)`` is called.

    ``quick``: a small part of it, to see that it works. ``found``: where the rows go,
    for whoever wants them although the run is interrupted.

    Raises: ArgumentError unless seeds >= 1; FileError.
    """
    if seeds is not None and seeds < 1:
        raise ArgumentError(f"experiment: seeds must be >= 1; got {seeds}")
    seeds = seeds or (QUICK_SEEDS if quick else measurement.seeds)
    found = [] if found is None else found
    for row in measurement.rows(Task(images, quick, seeds)):
        found.append(row)
        write(Path(folder) / "results.csv", found)
        report(row)
    return found


def write(path: Path, rows: list[dict]) -> None:
    """The rows so far, with a line of their keys."""
    out = io.StringIO()
    table = csv.DictWriter(out, list(visible(rows[0])), lineterminator="\n")
    table.writeheader()
    table.writerows(map(visible, rows))
    files.atomic_write(path, out.getvalue())
