"""Running a suite: its table, its JSON file, its plot; Ctrl-C ends it early."""

import json
from contextlib import nullcontext
from pathlib import Path

from .. import files
from ..errors import ArgumentError
from . import ceilings, conv, dynamic, engine, fastfood, fwht, roofline, shift, train
from .ceilings import Ceilings
from .measure import PER_SECOND, Row, scaled
from .setting import Setting

SUITES = {
    "engine": engine,
    "conv": conv,
    "shift": shift,
    "fwht": fwht,
    "fastfood": fastfood,
    "dynamic": dynamic,
    "train": train,
}


def _figure(value: float | None) -> str:
    """Three digits, more only in front of the point."""
    if value is None:
        return "-"
    digits = next((d for d in (0, 1, 2) if abs(value) >= 10 ** (2 - d)), 3)
    return f"{value:,.{digits}f}"


def _time(value: float | None, unit: str) -> str:
    """A time in the unit that suits it, anything else as it is."""
    if value is not None and unit in PER_SECOND:
        value, unit = scaled(value / PER_SECOND[unit])
    return "-" if value is None else f"{_figure(value)} {unit}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{_figure(value)}x"


def _marked(text: str, row: Row) -> str:
    """Green where the bar holds, red where it does not."""
    style = {True: "green", False: "red", None: ""}[row.reached]
    return f"[{style}]{text}[/]" if style else text


def _table(title: str, columns: list[str]):
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _with(table, caption: str):
    from rich.console import Group

    return Group(table, caption)


def _rates(row: Row, limits: Ceilings) -> list[str]:
    """GB/s, GFLOP/s and the share of the ceiling, as the tables show them."""
    share = limits.share(row)
    if share is None:
        return ["-", "-", "-"]
    flop = row.rate("flop") / 1e9 if row.flop else None
    return [
        _figure(row.rate("bytes") / 1e9),
        _figure(flop),
        f"{share[0]:.0%} {share[1][0].upper()}",
    ]


ROOF = "of roof: share of copying (C) or GEMM (G), whichever is the ceiling"


def comparison(title: str, rows: list[Row], setting: Setting, limits: Ceilings | None):
    """Ours against torch, a line a row."""
    rates = limits is not None
    columns = ["what", "minidl", "torch", "ratio", "reach"]
    columns += ["GB/s", "GFLOP/s", "of roof"] if rates else []
    caption = f"ratio: {setting.peer} / minidl, median of pairs; > 1: we are ahead"
    table = _table(title, columns)
    for row in rows:
        cells = [
            row.name,
            _time(row.ours, row.unit),
            _time(row.peer, row.unit),
            _marked(_ratio(row.ratio), row),
            row.reach,
        ]
        table.add_row(*cells, *(_rates(row, limits) if rates else []))
    return _with(table, f"{caption}\n{ROOF}" if rates else caption)


def against_copy(title: str, rows: list[Row], setting: Setting, limits: Ceilings):
    """Ours against several peers: under each peer's time how we compare to it."""
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    caption = "below a peer's time: peer / minidl, > 1: we are ahead"
    if "copyto" in names:
        caption = "below copyto: minidl / copyto; below others: other / minidl, "
        caption += "> 1: we are ahead"
    caption += f"\n{setting.peer}, medians of pairs"
    if any(row.flop or row.bytes for row in rows):
        caption += f"\n{ROOF}"
    columns = ["what", "minidl", *names, "torch", "reach", "GB/s", "GFLOP/s", "of roof"]
    table = _table(title, columns)
    for row in rows:
        cells = []
        for name in names:
            versus = row.others.get(name)
            if versus is None:
                cells.append("-")
                continue
            ratio = row.times(name) if name == "copyto" else versus.ratio
            text = _ratio(ratio)
            text = _marked(text, row) if name == "copyto" else text
            cells.append(f"{_time(versus.time, row.unit)}\n{text}")
        torch = "-"
        if row.ratio is not None:
            torch = f"{_time(row.peer, row.unit)}\n{_ratio(row.ratio)}"
        table.add_row(
            row.name.replace(", ", "\n"),
            _time(row.ours, row.unit),
            *cells,
            torch,
            row.reach.removesuffix(" copyto"),
            *_rates(row, limits),
        )
    return _with(table, caption)


def _grid(rows: list[Row], setting: Setting, limits: Ceilings):
    found, sentence = conv.worst(rows)
    title = f"the grid's worst {len(found)}" if setting.torch else "of the grid"
    table = _table(title, ["shape", "minidl", "torch", "ratio", "of roof"])
    for row in found:
        table.add_row(
            row.name,
            _time(row.ours, row.unit),
            _time(row.peer, row.unit),
            _marked(_ratio(row.ratio), row),
            _rates(row, limits)[2],
        )
    return _with(table, sentence)


def show(console, suite: str, rows: list[Row], setting: Setting, limits) -> None:
    """Print the rows as tables, and which bars hold."""
    main = [row for row in rows if row.part != "grid"]
    grid = [row for row in rows if row.part == "grid"]
    title = f"{SUITES[suite].TITLE}, float32, {setting.place}"
    title += f", {setting.rounds} pair{'s' * (setting.rounds > 1)}"
    for part in dict.fromkeys(row.part for row in main):
        some = [row for row in main if row.part == part]
        make = against_copy if any(row.others for row in some) else comparison
        console.print(make(part or title, some, setting, limits))
    if main and SUITES[suite].ABOUT:
        console.print(SUITES[suite].ABOUT, markup=False)
    if grid:
        if main:
            console.print()
        console.print(_grid(grid, setting, limits))
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", markup=False)
    with_bar = [row for row in main if row.reached is not None]
    if with_bar and limits is not None:
        short = [row.name for row in with_bar if not row.reached]
        text = f"{len(with_bar) - len(short)} of {len(with_bar)} bars hold"
        console.print(text + (f"; short: {', '.join(short)}" if short else ""))


def as_json(suite, rows, setting, limits, finished: bool):
    """What ``--json`` writes: of the engine a list of rows, else all that was found."""
    if limits is None:
        return [row.as_dict() for row in rows]
    return {
        "suite": suite,
        "device": setting.device,
        "threads": setting.threads,
        "rounds": setting.rounds,
        "torch": setting.torch and str(setting.torch.__version__),
        "finished": finished,
        "ceilings": limits.as_dict(),
        "rows": [limits.rates(row) for row in rows],
    }


def run(
    console,
    suite: str,
    *,
    rounds: int = 15,
    json_file: str | None = None,
    plot_file: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    **options,
) -> int:
    """Measure a suite, print it, write its files; the exit code, 130 after Ctrl-C.

    ``options`` go to the suite's ``rows``.

    Raises: ArgumentError, BackendError; FileError if a file cannot be written.
    """
    if plot_file:
        if Path(plot_file).suffix.lower() != ".png":
            raise ArgumentError(f"bench: --plot must name a .png file; got {plot_file}")
        roofline.check()
    setting = Setting.find(rounds, device, threads)
    if setting.missing:
        console.print(setting.missing, markup=False)
    limits, found, finished = None, [], False
    waiting = console.is_terminal
    try:
        with console.status("measuring") if waiting else nullcontext() as status:
            if suite != "engine":
                limits = ceilings.find(setting)
                console.print(
                    f"ceilings here: copying {_figure(limits.copy / 1e9)} GB/s, "
                    f"GEMM {_figure(limits.gemm / 1e9)} GFLOP/s"
                )
            for row in SUITES[suite].rows(setting, **options):
                found.append(row)
                if waiting:
                    status.update(f"measured {len(found)}: {row.name}")
        finished = True
    except KeyboardInterrupt:
        what = "what was measured so far" if found else "nothing was measured"
        console.print(f"interrupted: {what}")
    if found:
        show(console, suite, found, setting, limits)
        if json_file:
            content = as_json(suite, found, setting, limits, finished)
            files.atomic_write(json_file, json.dumps(content, indent=1) + "\n")
        if plot_file:
            title = f"{SUITES[suite].TITLE}, float32, {setting.place}"
            picture = roofline.draw(title, found, limits, setting.peer)
            files.atomic_write(plot_file, picture)
    return 0 if finished else 130
