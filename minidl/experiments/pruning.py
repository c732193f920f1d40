"""MetaPruning: do written weights tell which widths are good?"""

import math
from dataclasses import replace

import numpy as np

from .. import data, nn, pictures
from ..papers import evolution, meta_pruning
from ..tensor import Tensor
from ..train.evaluation import evaluate
from . import study
from .measurement import Measurement, Task

LR, BATCH = 1e-2, 64
CANDIDATES, LIMIT, HELD = 12, 0.4, 1000


def _train_any(images, seed, epochs):
    """A PruningNet, trained with widths drawn anew for every batch."""

    class Any(nn.Module):
        def __init__(self, shape, classes):
            super().__init__()
            self.net = meta_pruning.CroppedNet(shape, classes)

        def forward(self, x):
            return self.net(x, self.net.drawn())

    model, _ = study.fit(Any, images, seed, epochs, LR, BATCH)
    return model.net


def _split(images, held):
    """Training images without the last ``held``, and these."""
    part = replace(
        images, x_train=images.x_train[:-held], y_train=images.y_train[:-held]
    )
    return part, (images.x_train[-held:], images.y_train[-held:])


def rank_correlation(a, b) -> float:
    """Spearman's: the correlation of the ranks; equal numbers share their mean rank."""

    def ranks(values):
        values = np.asarray(values)
        below = (values[:, None] > values).sum(1)
        return below + ((values[:, None] == values).sum(1) - 1) / 2

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


class Chosen(nn.Module):
    """A PruningNet with fixed widths."""

    def __init__(self, net: meta_pruning.CroppedNet, choice):
        super().__init__()
        self.net, self.choice = net, list(choice)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x, self.choice)


def _scorer(net, images, held, batches):
    """A function from widths to accuracy with written weights; it remembers."""
    transform = data.transforms.ToFloat(images.mean, images.std)
    size, known = slice(0, batches * BATCH), {}
    shown = Tensor(transform(images.x_train[size], None))
    parts = [shown[i : i + BATCH] for i in range(0, shown.shape[0], BATCH)]

    def score(choice):
        key = tuple(int(c) for c in choice)
        if key not in known:
            meta_pruning.recalibrate(net, key, parts)
            model, classes = Chosen(net, key), len(images.classes)
            known[key] = 100 * evaluate(model, *held, transform, classes).accuracy
        return known[key]

    return score


def _search(net, score, generations, size=20):
    """The widths that evolution finds under the limit."""
    full, count = net.madds(), len(net.ratios)

    def fits(choice):
        return net.madds(choice) <= LIMIT * full

    population = evolution.first_population(size, len(net.widths), count, fits)
    for _ in range(generations):
        scores = np.array([score(row) for row in population])
        population = evolution.next_population(
            population, scores, count, fits, size // 5, 2 * size // 5, size // 5
        )
    return population[0]


def _uniform(net):
    """The widest net under the limit whose layers all have one ratio, of any size."""
    shape, full = net.shape, net.madds()
    for percent in range(100, 0, -1):
        widths = [max(1, width * percent // 100) for width in net.widths]
        cost = meta_pruning.madds_of(shape, widths, net.strides, net.classes)
        if cost <= LIMIT * full:
            return widths
    return [1] * len(net.widths)


def _meta_rows(task: Task):
    images = study.fewer(task.images, study.QUICK_IMAGES) if task.quick else task.images
    epochs, alone = (1, 1) if task.quick else (6, 4)
    batches, generations = (2, 1) if task.quick else (10, 8)
    part, held = _split(images, min(HELD, len(images.x_train) // 4))
    transform, shape = data.transforms.ToFloat(images.mean, images.std), images.shape
    for seed in range(task.seeds):
        net = _train_any(part, seed, epochs)
        score = _scorer(net, part, held, batches)
        choices = [("random", net.drawn()) for _ in range(CANDIDATES)]
        choices.append(("found", _search(net, score, generations)))
        candidates = [(kind, net.channels(c), score(c)) for kind, c in choices]
        candidates.append(("uniform", _uniform(net), math.nan))
        for kind, widths, written in candidates:
            cost = meta_pruning.madds_of(shape, widths, net.strides, net.classes)

            def build(shape, classes, widths=widths):
                return meta_pruning.plain_net(shape, classes, widths, net.strides)

            model, _ = study.fit(build, part, seed, alone, LR, BATCH)
            test = images.x_test, images.y_test, transform, len(images.classes)
            yield {
                "kind": kind,
                "seed": seed,
                "widths": "-".join(map(str, widths)),
                "MAdds %": 100 * cost / net.madds(),
                "written %": written,
                "retrained %": 100 * evaluate(model, *test).accuracy,
            }


def _meta_conclusions(rows):
    seeds = sorted({row["seed"] for row in rows})
    said = []
    for key, about in (
        ("written %", "with written weights tells how good widths are when retrained"),
        ("MAdds %", "is not needed for that: multiply-adds tell it as well"),
    ):
        found = []
        for seed in seeds:
            mine = [r for r in rows if r["seed"] == seed and r["kind"] == "random"]
            columns = ([r[k] for r in mine] for k in (key, "retrained %"))
            found.append(rank_correlation(*columns))
        said.append(
            f"Accuracy {about}. Here: rank correlation {np.mean(found):.2f} over "
            f"{len(seeds)} seeds, {min(found):.2f} to {max(found):.2f}."
        )
    pairs = {
        kind: {r["seed"]: r for r in rows if r["kind"] == kind}
        for kind in ("found", "uniform")
    }
    both = [s for s in seeds if s in pairs["found"] and s in pairs["uniform"]]
    gains = [
        pairs["found"][s]["retrained %"] - pairs["uniform"][s]["retrained %"]
        for s in both
    ]
    costs = {kind: np.mean([pairs[kind][s]["MAdds %"] for s in both]) for kind in pairs}
    error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    said.append(
        "Widths that were found beat one ratio for all. Here: "
        f"{np.mean(gains):+.1f} +- {error:.1f} points over {len(gains)} seeds, with "
        f"{costs['found']:.0f} and {costs['uniform']:.0f} % of the multiply-adds."
    )
    return said


def _meta_picture(rows, path):
    figure = pictures.new_figure(10, 4.4)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key in ((left, "written %"), (right, "MAdds %")):
        for kind, mark in (("random", "o"), ("found", "*"), ("uniform", "x")):
            for seed in sorted({row["seed"] for row in rows}):
                mine = [r for r in rows if (r["kind"], r["seed"]) == (kind, seed)]
                x, y = ([r[k] for r in mine] for k in (key, "retrained %"))
                size = 12 if kind == "found" else 6
                label = kind if seed == 0 else None
                axes.plot(
                    x, y, f"C{seed % 10}{mark}", alpha=0.7, markersize=size, label=label
                )
        axes.grid(alpha=0.3)
    left.set_xlabel("accuracy with written weights, %")
    right.set_xlabel("multiply-adds, % of the full net's")
    left.set_ylabel("accuracy when retrained, %")
    left.legend()
    figure.suptitle("metapruning-search: one color for each seed")
    return pictures.save(figure, path)


SEARCH = Measurement(
    "metapruning-search",
    "do written weights tell which widths are good?",
    "Liu et al. 2019",
    _meta_rows,
    _meta_conclusions,
    _meta_picture,
    seeds=5,
)

EXPERIMENTS = (SEARCH,)
