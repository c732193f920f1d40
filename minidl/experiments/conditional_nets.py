"""What need not be computed: blocks that an image skips, channels not worth it."""

import math
from dataclasses import replace

import numpy as np

from .. import data, nn, pictures, random
from ..autograd import no_grad
from ..papers import evolution, meta_pruning
from ..papers.block_drop import BlockDrop, Policy
from ..papers.resnet import ResNet
from ..papers.skip_net import SkipNet
from ..tensor import Tensor
from ..train.evaluation import evaluate
from . import study
from .measurement import Measurement, Task

LR, BATCH = 5e-3, 64

# Skipping: accuracy against blocks that were run.

BLOCKS = 6
SKIP_EPOCHS = 6


def _residual(shape, classes):
    return ResNet((2, 2, 2), (8, 16, 32), shape[0], classes, stride=2)


class AtRandom(nn.Module):
    """The rival of a policy: each image runs ``count`` of the blocks, drawn anew.

    All of them in the first two fifths of training, as BlockDrop's net is pretrained.
    """

    def __init__(self, net: ResNet, count: int):
        super().__init__()
        self.net, self.count, self.all = net, count, False

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.all = epoch < round(0.4 * epochs)

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and which blocks ran (N, K)."""
        size = x.shape[0], len(self.net.blocks)
        order = random.generator().random(size).argsort(1)
        keep = (order < self.count) | (self.all and self.training)
        keep = Tensor(keep.astype(np.dtype(x.dtype)))
        return self.net(x, keep), keep

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[0]


def _skip(alpha):
    return lambda shape, classes: SkipNet(_residual(shape, classes), alpha=alpha)


def _drop(gamma):
    def build(shape, classes):
        policy = Policy(BLOCKS, shape[0], (8, 8, 16), 2)
        return BlockDrop(_residual(shape, classes), policy, (gamma, gamma))

    return build


def _at_random(count):
    return lambda shape, classes: AtRandom(_residual(shape, classes), count)


RULES = (
    ("all blocks", None, _residual),
    *[("SkipNet", alpha, _skip(alpha)) for alpha in (1.0, 2.0, 4.0)],
    *[("BlockDrop", gamma, _drop(gamma)) for gamma in (10.0, 0.5)],
    *[("at random", count, _at_random(count)) for count in (4, 3, 2)],
)


def blocks_run(model: nn.Module, images: Tensor) -> np.ndarray:
    """Which blocks run for each image, (N, K) of 0 and 1."""
    model.eval()
    with no_grad():
        if isinstance(model, ResNet):
            return np.ones((images.shape[0], len(model.blocks)))
        keep = model.trace(images)[-1].numpy()
    if isinstance(model, SkipNet):  # its first block has no gate
        keep = np.concatenate([np.ones((len(keep), 1)), keep], 1)
    return keep


def _skip_rows(task: Task):
    images = study.fewer(task.images, study.QUICK_IMAGES) if task.quick else task.images
    transform = data.transforms.ToFloat(images.mean, images.std)
    shown, classes = Tensor(transform(images.x_test, None)), len(images.classes)
    epochs = 3 if task.quick else SKIP_EPOCHS
    for seed in range(task.seeds):
        for rule, setting, build in RULES[::3] if task.quick else RULES:
            model, _ = study.fit(build, images, seed, epochs, LR, BATCH)
            keep = blocks_run(model, shown)
            test = images.x_test, images.y_test
            found = evaluate(model, *test, transform, classes).accuracy
            yield {
                "rule": rule,
                "setting": "" if setting is None else f"{setting:g}",
                "seed": seed,
                "blocks run": float(keep.sum(1).mean()),
                "ways": len(np.unique(keep, axis=0)),
                "test %": 100 * found,
            }


def _points(rows):
    """(rule, setting): the means over seeds of blocks run and accuracy."""
    found = {}
    for row in rows:
        pair = row["blocks run"], row["test %"]
        found.setdefault((row["rule"], row["setting"]), []).append(pair)
    return {key: np.mean(pairs, 0) for key, pairs in found.items()}


def rival(rows: list[dict], seed: int, blocks: float) -> float:
    """Accuracy of blocks at random, between its settings on a line; the same seed."""
    same = [r for r in rows if r["seed"] == seed and r["rule"] != "SkipNet"]
    line = sorted(
        (r["blocks run"], r["test %"]) for r in same if r["rule"] != "BlockDrop"
    )
    return float(np.interp(blocks, *zip(*line)))


def _skip_conclusions(rows):
    points, said = _points(rows), []
    full = points["all blocks", ""][1]
    for rule in ("SkipNet", "BlockDrop"):
        settings = [
            f"{blocks:.1f} blocks {accuracy:.1f} %"
            for (name, _), (blocks, accuracy) in points.items()
            if name == rule
        ]
        gains = [
            row["test %"] - rival(rows, row["seed"], row["blocks run"])
            for row in rows
            if row["rule"] == rule and row["blocks run"] < BLOCKS - 0.5
        ]
        sentence = f"{rule} (all {BLOCKS} blocks: {full:.1f} %): {', '.join(settings)}."
        if len(gains) > 1:
            error = np.std(gains, ddof=1) / np.sqrt(len(gains))
            sentence += (
                f" Against as many blocks at random, trained as long: "
                f"{np.mean(gains):+.1f} +- {error:.1f} points over {len(gains)} runs "
                "that leave out half a block or more."
            )
        ways = [row["ways"] for row in rows if row["rule"] == rule]
        said.append(
            f"{sentence} Different ways through the net: {min(ways)} to {max(ways)}."
        )
    return said


def _skip_picture(rows, path):
    figure = pictures.new_figure(7, 4.4)
    axes = figure.subplots()
    marks = {
        "all blocks": "k*",
        "SkipNet": "C0o",
        "BlockDrop": "C1s",
        "at random": "C7x",
    }
    for rule, mark in marks.items():
        mine = [row for row in rows if row["rule"] == rule]
        x, y = ([row[key] for row in mine] for key in ("blocks run", "test %"))
        axes.plot(x, y, mark, label=rule, alpha=0.6)
    line = sorted(
        tuple(p)
        for (rule, _), p in _points(rows).items()
        if rule in ("at random", "all blocks")
    )
    axes.plot(*zip(*line), "C7:", linewidth=1)
    axes.set_xlabel(f"blocks run for an image, of {BLOCKS}")
    axes.set_ylabel("test accuracy, %")
    axes.set_title("skip-budget: which blocks does an image need?")
    axes.grid(alpha=0.3)
    axes.legend()
    return pictures.save(figure, path)


SKIP = Measurement(
    "skip-budget",
    "does it pay to choose the blocks of an image, or would any do?",
    "Wang et al. 2018; Wu et al. 2018",
    _skip_rows,
    _skip_conclusions,
    _skip_picture,
)

# MetaPruning: do written weights tell which widths are good?

CANDIDATES, LIMIT, HELD = 12, 0.4, 1000


def _train_any(images, seed, epochs):
    """A PruningNet, trained with widths drawn anew for every batch."""

    class Any(nn.Module):
        def __init__(self, shape, classes):
            super().__init__()
            self.net = meta_pruning.CroppedNet(shape, classes)

        def forward(self, x):
            return self.net(x, self.net.drawn())

    model, _ = study.fit(Any, images, seed, epochs, 1e-2, BATCH)
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

            model, _ = study.fit(build, part, seed, alone, 1e-2, BATCH)
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

EXPERIMENTS = (SKIP, SEARCH)
