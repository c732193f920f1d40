"""What a person sees of an experiment: a table, sentences, a picture."""

import math
from pathlib import Path

import numpy as np

from .. import pictures
from .measurement import Measurement, visible
from .study import Experiment, Outcome, verdict

QUICK = "Too little was done to judge by: leave --quick out for that."


def table(experiment: Experiment, outcomes: dict[str, Outcome]):
    """Cost and accuracy of every variant, as a rich table."""
    from rich.table import Table

    made = Table(title=f"{experiment.name}: {experiment.question}")
    made.add_column("variant")
    counted = "weights" if experiment.weigh else "parameters"
    for header in (counted, "MAdds", "test %", "+-", "loss", "s"):
        made.add_column(header, justify="right", no_wrap=True)
    best = max((o.mean for o in outcomes.values()), default=0)
    for o in outcomes.values():
        made.add_row(
            o.variant,
            f"{o.count.parameters:,}",
            f"{o.count.madds:,}",
            f"{o.mean:.1f}",
            f"{o.spread:.1f}",
            "-" if math.isnan(sum(o.losses)) else f"{np.mean(o.losses):.3f}",
            f"{sum(o.seconds) / len(o.seconds):.0f}",
            style="bold" if o.mean == best else "",
        )
    return made


def sentences(experiment: Experiment, outcomes: dict[str, Outcome], quick: bool):
    """One paragraph for each claim: what the paper says, what this run shows."""
    if quick:
        return [QUICK]
    found = []
    for claim in experiment.claims:
        word, figures = verdict(claim, outcomes)
        found.append(f"{claim.sentence} Here: {word}. {figures}.")
    return found


def draw(experiment: Experiment, outcomes: dict[str, Outcome], path) -> Path:
    """Accuracies of all seeds, and their means against multiply-adds, on a picture.

    Against weights, where the experiment counts these as its paper does; against losses
    where it claims something about them, or all variants cost the same.

    Raises: MinidlError where matplotlib is missing.
    """
    figure = pictures.new_figure(10, 1.6 + 0.42 * max(5, len(outcomes)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2), sharex=True)
    colors = [f"C{i}" for i in range(len(outcomes))]
    title, heights = _heights(experiment, outcomes)
    for row, (o, color) in enumerate(zip(outcomes.values(), colors)):
        seeds = o.accuracies
        left.plot(seeds, [row] * len(seeds), "o", color=color, alpha=0.45, markersize=5)
        left.plot([o.mean], [row], "|", color=color, markersize=18, markeredgewidth=2.5)
        right.plot([o.mean], [heights[row]], "o", color=color)
    left.set_yticks(range(len(outcomes)), list(outcomes))
    left.invert_yaxis()
    left.set_title("each seed, and the mean")
    right.set_title(title)
    if "loss" not in title:
        right.set_yscale("log")
        right.yaxis.set_minor_formatter("{x:g}")
    right.yaxis.tick_right()
    right.yaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        axes.set_xlabel("test accuracy, %")
        axes.grid(alpha=0.3)
    figure.suptitle(f"{experiment.name}: {experiment.question}")
    return pictures.save(figure, path)


def _heights(experiment, outcomes):
    """What the right picture shows beside accuracy: its title, a number a variant."""
    every = list(outcomes.values())
    if experiment.weigh:
        return "thousands of weights", [o.count.parameters / 1e3 for o in every]
    same = len({o.count.madds for o in every}) == 1
    if same or any(claim.loss for claim in experiment.claims):
        return "loss on the training images", [np.mean(o.losses) for o in every]
    return "millions of multiply-adds", [o.count.madds / 1e6 for o in every]


def readable(row: dict) -> dict[str, str]:
    """A row of a measurement as texts: numbers to 4 digits, or whole up to millions."""

    def text(value):
        if isinstance(value, float):
            return "-" if math.isnan(value) else f"{value:.4g}"
        if isinstance(value, int):
            return f"{value / 1e6:.1f}M" if value >= 10**7 else f"{value:,}"
        return str(value)

    return {key: text(value) for key, value in visible(row).items()}


def table_of_rows(measurement: Measurement, rows: list[dict]):
    """What was measured, as a rich table."""
    from rich import box
    from rich.table import Table

    title = f"{measurement.name}: {measurement.question}"
    made = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for key in visible(rows[0]):
        made.add_column(key, justify="right")
    for row in rows:
        made.add_row(*readable(row).values())
    return made
