"""Figures on files: matplotlib, loaded when it is wanted, without a window."""

import io
from pathlib import Path

from . import files
from .errors import MinidlError


def new_figure(width: float = 9.0, height: float = 3.6):
    """An empty figure of that many inches, and its function to `save` it.

    Raises: MinidlError where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MinidlError(
            "pictures need matplotlib: pip install 'minidl[plot]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure, path) -> Path:
    """Write a figure as .png or .svg, whole or not at all; returns the path.

    Raises: MinidlError for another ending; FileError if it cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in ("png", "svg"):
        raise MinidlError(f"pictures: path must end in .png or .svg; got {path.name}")
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=110)
    files.atomic_write(path, out.getvalue())
    return path
