"""What this machine can do at most: the two lines of the roofline.

Source: Williams, Waterman and Patterson 2009, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures".
"""

from dataclasses import dataclass

from . import measure
from .measure import Row
from .setting import Setting

COPIED = 1 << 25  # float32 numbers: far more than any cache holds
SIDE = 2048  # of the square matrices
TRIES = 5


@dataclass(frozen=True)
class Ceilings:
    """``copy``: bytes per second, read and written, of np.copyto on a big array.
    ``gemm``: FLOP per second of a big float32 matrix product."""

    copy: float
    gemm: float

    def at(self, intensity: float) -> float:
        """The FLOP per second that work of so many FLOP per byte may reach."""
        return min(self.gemm, intensity * self.copy)

    def share(self, row: Row) -> tuple[float, str] | None:
        """How near the row comes to its ceiling, and which one: "copy" or "GEMM"."""
        if row.bytes is None or row.seconds is None:
            return None
        least = row.bytes / self.copy, (row.flop or 0) / self.gemm
        return max(least) / row.seconds, "GEMM" if least[1] > least[0] else "copy"

    def as_dict(self) -> dict:
        """In units that people read."""
        return {"copy_gb_per_s": self.copy / 1e9, "gemm_gflop_per_s": self.gemm / 1e9}

    def rates(self, row: Row) -> dict:
        """A row and what follows from it together with the ceilings, for JSON."""
        share = self.share(row)
        flop, moved = (row.rate("flop"), row.rate("bytes")) if share else (None, None)
        return row.as_dict() | {
            "gflop_per_s": flop and flop / 1e9,
            "gb_per_s": moved and moved / 1e9,
            "share_of_gemm": flop and flop / self.gemm,
            "share_of_copy": moved and moved / self.copy,
            "share_of_roof": share and share[0],
        }


def find(setting: Setting) -> Ceilings:
    """Measure both ceilings: the best of a few tries."""
    source = setting.array(COPIED)
    a, b = setting.array(SIDE, SIDE), setting.array(SIDE, SIDE, seed=1)
    y = setting.xp.empty_like(a)
    copy, product = setting.copy(source), lambda: setting.xp.dot(a, b, out=y)

    def best(function):
        n = measure.repeats(function, setting.sync)
        return min(measure.timing(function, n, setting.sync) for _ in range(TRIES))

    return Ceilings(2 * source.nbytes / best(copy), 2 * SIDE**3 / best(product))
