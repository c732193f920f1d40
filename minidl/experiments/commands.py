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
    from . import catalogue, show, study

    if args.name is None:
        return _list(catalogue.EXPERIMENTS, console)
    experiment = catalogue.find(args.name)
    images = load_data(args.data)
    folder = Path(args.out or Path("runs") / "experiments" / experiment.name)
    seeds = study.seeds_of(experiment, args.quick, args.seeds)
    console.print(
        f"{experiment.name} ({experiment.source}): {experiment.question}\n"
        f"{images.name}: {len(experiment.variants)} variants, {seeds} seeds each",
        markup=False,
    )
    with _bar(console, seeds * len(experiment.variants)) as report:
        outcomes = study.run(experiment, images, folder, args.quick, seeds, report)
    console.print(show.table(experiment, outcomes))
    for sentence in show.sentences(experiment, outcomes, args.quick):
        console.print(f"- {sentence}", markup=False)
    kept = f"{folder}: results.csv"
    try:
        kept += f", {show.draw(experiment, outcomes, folder / 'plot.png').name}"
    except MinidlError as error:
        kept += f" ({error})"
    console.print(kept, markup=False)


def _list(experiments, console):
    from rich.table import Table

    table = Table("experiment", "question", "source", title="experiments")
    for e in experiments.values():
        table.add_row(e.name, e.question, e.source)
    console.print(table)


@contextmanager
def _bar(console, runs):
    """A function to report runs to: a moving bar on a terminal, else one line each."""
    if not console.is_terminal:
        yield lambda variant, seed, accuracy: console.print(
            f"seed {seed}: {variant}: {accuracy:.1f} %", markup=False
        )
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=runs)

        def report(variant, seed, accuracy):
            text = f"seed {seed}, {variant}: {accuracy:.1f} %"
            progress.update(task, advance=1, description=text[:48])

        yield report
