"""``minidl experiment``: list the experiments, or run one and show what came of it."""

from contextlib import contextmanager
from pathlib import Path

from ..errors import MinidlError


def add(command, number) -> None:
    """Add the command; ``number(kind)`` is a parser of numbers."""
    sub = command(
        "experiment",
        _experiment,
        "Test a paper's claim on small models; without NAME, list the experiments.",
    )
    sub.add_argument("name", nargs="?", metavar="NAME")
    sub.add_argument(
        "--quick", action="store_true", help="a few images: only to see that it works"
    )
    sub.add_argument("--seeds", type=number(int), help="how many; each its own run")
    sub.add_argument("--data", help="data set name, folder or .npz file")
    sub.add_argument(
        "--out",
        metavar="DIR",
        help="for table and plot (default: runs/experiments/NAME)",
    )


def _experiment(args, console):
    from ..train import load_data
    from . import catalogue, study

    if args.name is None:
        return _list(catalogue.EXPERIMENTS, console)
    experiment = catalogue.find(args.name)
    images = load_data(args.data)
    folder = Path(args.out or Path("runs") / "experiments" / experiment.name)
    console.print(
        f"{experiment.name} ({experiment.source}): {experiment.question}", markup=False
    )
    kind = _study if isinstance(experiment, study.Experiment) else _measurement
    try:
        shown = kind(experiment, images, folder, args, console)
        table, sentences, draw = shown
    except _Interrupted as end:
        console.print(end.table or "")
        console.print(f"interrupted: {end}", markup=False)
        return 130
    console.print(table)
    for sentence in sentences:
        console.print(f"- {sentence}", markup=False)
    kept = f"{folder}: results.csv"
    try:
        kept += f", {draw(folder / 'plot.png').name}"
    except MinidlError as error:
        kept += f" ({error})"
    console.print(kept, markup=False)


class _Interrupted(Exception):
    """Ctrl-C: what there is by then, if anything."""

    def __init__(self, folder, table=None):
        done = f"{folder}/results.csv has what was done" if table else "nothing is done"
        super().__init__(f"{done} so far" if table else f"{done} yet")
        self.table = table


def _study(experiment, images, folder, args, console):
    """Train all variants: a table, sentences, a function that draws."""
    from . import show, study

    seeds = study.seeds_of(experiment, args.quick, args.seeds)
    many, outcomes = len(experiment.variants), {}
    console.print(f"{images.name}: {many} variants, {seeds} seeds each", markup=False)
    with _bar(console, seeds * many) as tell:

        def report(variant, seed, accuracy):
            tell(f"seed {seed}: {variant}: {accuracy:.1f} %")

        options = folder, args.quick, seeds, report, outcomes
        try:
            study.run(experiment, images, *options)
        except KeyboardInterrupt:
            done = {name: o for name, o in outcomes.items() if o.accuracies}
            table = show.table(experiment, done) if done else None
            raise _Interrupted(folder, table) from None
    return (
        show.table(experiment, outcomes),
        show.sentences(experiment, outcomes, args.quick),
        lambda path: show.draw(experiment, outcomes, path),
    )


def _measurement(experiment, images, folder, args, console):
    """Measure all rows: a table, sentences, a function that draws."""
    from . import measurement, show

    rows = []
    with _bar(console, None) as tell:

        def report(row):
            tell(", ".join(f"{k} {v}" for k, v in show.readable(row).items()))

        options = folder, args.quick, args.seeds, report, rows
        try:
            measurement.run(experiment, images, *options)
        except KeyboardInterrupt:
            table = show.table_of_rows(experiment, rows) if rows else None
            raise _Interrupted(folder, table) from None
    return (
        show.table_of_rows(experiment, rows),
        [show.QUICK] if args.quick else experiment.conclude(rows),
        lambda path: experiment.draw(rows, path),
    )


def _list(experiments, console):
    from rich.table import Table

    table = Table("experiment", "question", "source", title="experiments")
    for e in experiments.values():
        table.add_row(e.name, e.question, e.source)
    console.print(table)


@contextmanager
def _bar(console, steps):
    """A function to report steps to: a moving bar on a terminal, else one line each.

    ``steps`` None: nobody knows how many there will be.
    """
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False)
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=steps)

        def tell(text):
            progress.update(task, advance=1, description=text[:48])

        yield tell
