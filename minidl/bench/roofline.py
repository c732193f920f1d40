"""The roofline plot: what was reached, below what the machine can do."""

import io
from itertools import product
from math import atan2, degrees

from ..errors import BackendError
from .ceilings import Ceilings
from .measure import Row

OURS, THEIRS, INK = "#1f5fa8", "#e0a070", "#333333"
MOVES = 4  # bytes: work without arithmetic counts one operation for each number moved


def check() -> None:
    """Raises: BackendError with the remedy if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise BackendError(
            "bench: --plot needs matplotlib; install it with "
            "`pip install 'minidl[plot]'`, or leave --plot out"
        ) from None


def _points(rows: list[Row]):
    """(row, FLOP per byte, our FLOP/s, torch's or None) of what can be placed."""
    found = []
    for row in rows:
        if not row.bytes or row.seconds is None:
            continue
        # Numbers are read and written: half of the bytes are what is moved.
        work = row.flop or row.bytes / 2 / MOVES
        ours = work / row.seconds
        found.append((row, work / row.bytes, ours, row.ratio and ours / row.ratio))
    return found


def draw(title: str, rows: list[Row], limits: Ceilings, peer: str) -> bytes:
    """`picture` as a PNG file."""
    out = io.BytesIO()
    picture(title, rows, limits, peer).savefig(out, format="png", dpi=140)
    return out.getvalue()


def picture(title: str, rows: list[Row], limits: Ceilings, peer: str):
    """A figure of FLOP per byte against GFLOP/s, both logarithmic."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(10.5, 6.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = _points(rows)
    xs = [x for _, x, _, _ in points]
    ridge = limits.gemm / limits.copy
    low, high = min([*xs, ridge]) / 2.5, max([*xs, ridge]) * 4
    at = np.geomspace(low, high, 200)
    roof = np.minimum(at * limits.copy, limits.gemm) / 1e9
    axes.loglog(at, roof, color=INK, linewidth=1.6, zorder=2)
    axes.fill_between(at, roof, roof.max() * 100, color="#f2f2f2", zorder=0)
    bottom = min([y for p in points for y in p[2:] if y] + [low * limits.copy]) / 1e9
    top = max([p[2] for p in points] + [p[3] or 0 for p in points] + [limits.gemm])
    axes.set_xlim(low, high)
    axes.set_ylim(bottom / 2, top / 1e9 * 2.2)
    named = [p for p in points if p[0].part != "grid"]
    rest = [p for p in points if p[0].part == "grid"]
    both = [p for p in named if p[0].name.endswith("fwd+bwd")]
    once = [p for p in named if p not in both]
    for group, label, style in (
        (rest, "minidl, the grid", dict(s=9, color=OURS, alpha=0.35)),
        (once, "minidl", dict(s=34, color=OURS)),
        (both, "minidl, fwd+bwd", dict(s=30, facecolor="white", edgecolor=OURS)),
    ):
        if group:
            ours = [(x, y / 1e9) for _, x, y, _ in group]
            axes.scatter(*zip(*ours), label=label, zorder=4, **style)
    for group, label, style in (
        (once, peer, dict(color=THEIRS)),
        (both, None if once else peer, dict(facecolor="white", edgecolor=THEIRS)),
    ):
        theirs = [(x, t / 1e9, y / 1e9) for _, x, y, t in group if t]
        if theirs:
            x, t, y = zip(*theirs)
            axes.vlines(x, t, y, color=THEIRS, linewidth=0.7, alpha=0.6, zorder=1)
            axes.scatter(x, t, s=22, marker="D", label=label, zorder=3, **style)
    axes.set_xlabel("arithmetic intensity (FLOP per byte)")
    axes.set_ylabel("speed (GFLOP/s)")
    if any(row.flop == 0 for row in rows):
        axes.set_xlabel("operations per byte (one for each number moved)")
        axes.set_ylabel("speed (10$^9$ operations/s)")
    axes.set_title(title)
    axes.grid(which="major", color="#dddddd", linewidth=0.6, zorder=0)
    axes.legend(loc="lower right", framealpha=0.95)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.set_minor_formatter(NullFormatter())
    figure.canvas.draw()  # places the axes: only now do angles and sizes hold ...
    figure.set_layout_engine("none")  # ... and labels must not move them again
    _name_roof(axes, limits, low)
    figure.canvas.draw()
    _Labels(axes, points).place([(p[0].name, p[1], p[2] / 1e9) for p in named])
    return figure


def _name_roof(axes, limits, low):
    """Write the ceilings along their lines."""
    style = dict(textcoords="offset points", color=INK, fontsize=10)
    gemm = f"GEMM {limits.gemm / 1e9:,.0f} GFLOP/s"
    at = axes.get_xlim()[1], limits.gemm / 1e9
    axes.annotate(gemm, at, (-6, 5), ha="right", **style)
    ends = [(x, x * limits.copy / 1e9) for x in (low * 1.2, low * 1.4)]
    (x0, y0), (x1, y1) = axes.transData.transform(ends)
    angle = degrees(atan2(y1 - y0, x1 - x0))
    copying = f"copying {limits.copy / 1e9:,.1f} GB/s"
    style.update(rotation=angle, rotation_mode="anchor")
    axes.annotate(copying, ends[0], (-2, 6), **style)


class _Labels:
    """Names beside their points: each in the nearest place that is still free."""

    def __init__(self, axes, points):
        self.axes, self.taken = axes, []
        self.renderer = axes.figure.canvas.get_renderer()
        self.inside = axes.get_window_extent(self.renderer)
        for _, x, y, t in points:
            self._occupy(x, y / 1e9, 4)
            if t:
                self._occupy(x, t / 1e9, 3)
        for drawn in (axes.get_legend(), *axes.texts):
            self.taken.append(drawn.get_window_extent(self.renderer))

    def _occupy(self, x, y, reach):
        from matplotlib.transforms import Bbox

        px, py = self.axes.transData.transform((x, y))
        self.taken.append(
            Bbox.from_extents(px - reach, py - reach, px + reach, py + reach)
        )

    def place(self, names):
        """``names``: (text, x, y) in data units; from the highest point down."""
        for text, x, y in sorted(names, key=lambda n: -n[2]):
            label = self.axes.annotate(
                text,
                (x, y),
                (0, 0),
                textcoords="offset points",
                fontsize=9,
                color=INK,
                va="center",
                zorder=5,
                arrowprops=dict(
                    arrowstyle="-", color="#999999", linewidth=0.5, shrinkB=3
                ),
            )
            best = None
            for distance, offset in self._offsets():
                box = self._put(label, offset)
                cost = self._cost(box) * 1e3 + distance
                if best is None or cost < best[0]:
                    best = cost, offset, distance
                if cost == distance:
                    break
            _, offset, distance = best
            self.taken.append(self._put(label, offset))
            if distance < 12:  # beside its point: no line is needed
                label.arrow_patch.set_visible(False)

    def _put(self, label, offset):
        """Move a label there, its line to the edge that faces the point; its box."""
        from matplotlib.text import Text

        left = offset[0] > 0
        label.set_position(offset)
        label.set_ha("left" if left else "right")
        label.arrowprops["relpos"] = label._arrow_relpos = (0 if left else 1, 0.5)
        label.update_positions(self.renderer)
        return Text.get_window_extent(label, self.renderer)

    @staticmethod
    def _offsets():
        """Places around a point in points, near ones first, as (distance, (dx, dy))."""
        steps = [0, 9, -9, 18, -18, 27, -27, 38, -38, 50, -50, 64, -64, 80, -80]
        places = product((8, -8, 22, -22, 40, -40, 64, -64), steps)
        return sorted(((dx**2 + dy**2) ** 0.5, (dx, dy)) for dx, dy in places)

    def _cost(self, box):
        """How many things the box covers; outside the axes counts as well."""
        outside = not (
            self.inside.x0 < box.x0
            and box.x1 < self.inside.x1
            and self.inside.y0 < box.y0
            and box.y1 < self.inside.y1
        )
        return outside * 10 + sum(box.overlaps(other) for other in self.taken)
