"""SkipNet and BlockDrop: accuracy against blocks that were run, and a rival."""

import numpy as np

from .. import data, nn, pictures, random
from ..autograd import no_grad
from ..papers.block_drop import BlockDrop, Policy
from ..papers.resnet import ResNet
from ..papers.skip_net import SkipNet
from ..tensor import Tensor
from ..train.evaluation import evaluate
from . import study
from .measurement import Measurement, Task

LR, BATCH = 5e-3, 64
BLOCKS = 6
EPOCHS = 6


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
    epochs = 3 if task.quick else EPOCHS
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
    least = min(row["blocks run"] for row in rows if row["rule"] == "at random")
    for rule in ("SkipNet", "BlockDrop"):
        settings = [
            f"{blocks:.1f} blocks {accuracy:.1f} %"
            for (name, _), (blocks, accuracy) in points.items()
            if name == rule
        ]
        gains = [
            row["test %"] - rival(rows, row["seed"], row["blocks run"])
            for row in rows
            if row["rule"] == rule and least <= row["blocks run"] < BLOCKS - 0.5
        ]
        sentence = f"{rule} (all {BLOCKS} blocks: {full:.1f} %): {', '.join(settings)}."
        if len(gains) > 1:
            error = np.std(gains, ddof=1) / np.sqrt(len(gains))
            sentence += (
                f" Against as many blocks at random, trained as long: "
                f"{np.mean(gains):+.1f} +- {error:.1f} points over {len(gains)} runs "
                f"of {least:.0f} to {BLOCKS - 0.5} blocks."
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

EXPERIMENTS = (SKIP,)
