"""What an experiment is, and how one is run: every variant from every seed.

All variants see the same images in the same order and are trained alike; variants with
the same seed are compared pair by pair, so that what the seed does to both cancels.
"""

import csv
import io
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .. import data, files, nn, optim, random
from ..errors import ArgumentError, MinidlWarning
from ..tensor import Tensor
from ..train.evaluation import evaluate

QUICK_IMAGES, QUICK_SEEDS = 640, 2


@dataclass(frozen=True)
class Variant:
    """One of the models compared: ``build(shape, classes)``, shape (C, H, W).

    One that comes ``after`` another is made of the other's trained model instead, by
    ``build(model)``, and trained for ``epochs`` more, which may be 0. ``images(images,
    seed)`` are what it is given in place of the experiment's.
    """

    name: str
    build: Callable[..., nn.Module]
    after: str = ""
    epochs: int | None = None  # None: as many as the experiment says
    images: Callable[[data.Dataset, int], data.Dataset] | None = None


@dataclass(frozen=True)
class Claim:
    """What a paper says: one variant is better than another.

    ``least``: by so many points of accuracy, else the difference is not worth a word.
    ``loss``: better means a smaller loss on the training images.
    """

    sentence: str
    better: str
    worse: str
    least: float = 0.0
    loss: bool = False


@dataclass(frozen=True)
class Experiment:
    """A question about a paper, the models that answer it, what the paper answers."""

    name: str
    question: str
    source: str
    variants: tuple[Variant, ...]
    claims: tuple[Claim, ...]
    epochs: int = 6
    seeds: int = 3
    lr: float = 5e-3
    batch: int = 64
    weigh: Callable[[nn.Module], int] | None = None  # how the paper counts weights

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        return next(v for v in self.variants if v.name == name)

    def untrained(self, variant: Variant, shape, classes: int) -> nn.Module:
        """A fresh model of a variant, also of one that comes after another."""
        if not variant.after:
            return variant.build(shape, classes)
        before = self.variant(variant.after)
        return variant.build(self.untrained(before, shape, classes))

    def count(self, variant: Variant, shape, classes: int) -> nn.Count:
        """What a variant costs, its parameters counted as the paper counts them."""
        model = self.untrained(variant, shape, classes)
        cost = nn.count(model, shape)
        return cost._replace(parameters=self.weigh(model)) if self.weigh else cost


@dataclass
class Outcome:
    """What came of one variant: its cost, and test accuracies in percent by seed."""

    variant: str
    count: nn.Count
    accuracies: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # on the training images
    seconds: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; NaN for one."""
        if len(self.accuracies) < 2:
            return math.nan
        return float(np.std(self.accuracies, ddof=1))


def difference(a: Outcome, b: Outcome, loss: bool = False) -> tuple[float, float]:
    """The mean of a's accuracy less b's, seed by seed, and its standard error.

    ``loss``: of b's loss less a's instead, so that more is better as well.
    """
    both = min(len(a.accuracies), len(b.accuracies))
    pairs = np.subtract(a.accuracies[:both], b.accuracies[:both])
    if loss:
        pairs = np.subtract(b.losses[:both], a.losses[:both])
    if len(pairs) < 2:
        return float(pairs.mean()), math.nan
    return float(pairs.mean()), float(pairs.std(ddof=1) / math.sqrt(len(pairs)))


def verdict(claim: Claim, outcomes: dict[str, Outcome]) -> tuple[str, str]:
    """("supported", "contradicted" or "not shown", the figures in words).

    A difference counts if it is more than twice its standard error, and at least what
    the claim asks for.
    """
    a, b = outcomes[claim.better], outcomes[claim.worse]
    mean, error = difference(a, b, claim.loss)
    clear = abs(mean) > 2 * error  # never with one seed: the error is NaN
    word = "not shown"
    if clear and mean >= max(claim.least, 0):
        word = "supported"
    elif clear and mean < 0:
        word = "contradicted"
    seeds = f"over {len(a.accuracies)} seeds"
    if claim.loss:
        losses = (f"{o.variant} {np.mean(o.losses):.3f}" for o in (a, b))
        return word, f"{', '.join(losses)}: {-mean:+.3f} +- {error:.3f} {seeds}"
    figures = (
        f"{a.variant} {a.mean:.1f} %, {b.variant} {b.mean:.1f} %: "
        f"{mean:+.1f} +- {error:.1f} points {seeds}"
    )
    return word, figures


def fit(build, images: data.Dataset, seed: int, epochs: int, lr: float, batch: int):
    """Train one model by Adam, its rate falling by a cosine: (model, last loss).

    Without any epochs the loss is NaN.
    """
    random.manual_seed(seed)
    model = build(images.shape, len(images.classes))
    if epochs == 0:
        return model, math.nan
    loader = data.DataLoader(
        images.x_train,
        images.y_train,
        batch,
        shuffle=True,
        seed=seed,
        transform=data.transforms.ToFloat(images.mean, images.std),
    )
    optimizer = optim.Adam(model.parameters(), lr)
    schedule = optim.CosineAnnealingLR(optimizer, epochs * len(loader))
    for epoch in range(epochs):
        losses = []
        for module in model.modules():
            module.start_epoch(epoch, epochs)
        for x, y in loader.epoch(epoch):
            _, loss = model.objective(Tensor(x), Tensor(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return model, float(np.mean(losses))


def fewer(images: data.Dataset, count: int) -> data.Dataset:
    """The first images only."""
    return replace(
        images,
        x_train=images.x_train[:count],
        y_train=images.y_train[:count],
        x_test=images.x_test[: count // 2],
        y_test=images.y_test[: count // 2],
    )


def seeds_of(experiment: Experiment, quick: bool, seeds: int | None) -> int:
    """From how many seeds each variant is trained. Raises: ArgumentError below 1."""
    if seeds is not None and seeds < 1:
        raise ArgumentError(f"experiment: seeds must be >= 1; got {seeds}")
    return seeds or (QUICK_SEEDS if quick else experiment.seeds)


def run(
    experiment: Experiment,
    images: data.Dataset,
    folder,
    quick: bool = False,
    seeds: int | None = None,
    report: Callable[[str, int, float], None] = lambda name, seed, accuracy: None,
    outcomes: dict[str, Outcome] | None = None,
) -> dict[str, Outcome]:
    """Train every variant from every seed; ``results.csv`` grows with each run.

    ``quick``: one epoch on few images, to see that it works; the figures mean nothing.
    ``report(variant, seed, accuracy)`` is called after each run. ``outcomes``: where
    they go, for whoever wants them although the run is interrupted.

    Raises: ArgumentError unless seeds >= 1; FileError.
    """
    many = seeds_of(experiment, quick, seeds)
    images = fewer(images, QUICK_IMAGES) if quick else images
    epochs = 1 if quick else experiment.epochs
    outcomes = {} if outcomes is None else outcomes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MinidlWarning)  # unwise variants are the point
        for variant in experiment.variants:
            cost = experiment.count(variant, images.shape, len(images.classes))
            outcomes[variant.name] = Outcome(variant.name, cost)
        for seed in range(many):  # not the inner loop: whoever stops it can compare
            trained = {}
            for variant in experiment.variants:
                outcome = outcomes[variant.name]
                _one(experiment, variant, images, seed, epochs, outcome, trained)
                write(Path(folder) / "results.csv", outcomes)
                report(variant.name, seed, outcome.accuracies[-1])
    return outcomes


def _one(experiment, variant, images, seed, epochs, outcome, trained):
    """Train and test one variant from one seed, and add what comes to its outcome.

    ``trained`` holds the models that others come after.
    """
    start = time.perf_counter()

    def build(*about):
        return variant.build(*([trained[variant.after]] if variant.after else about))

    if variant.images is not None:
        images = variant.images(images, seed)
    if variant.epochs is not None:
        epochs = min(variant.epochs, epochs)  # a quick run is quick for all
    rate, batch = experiment.lr, experiment.batch
    model, loss = fit(build, images, seed, epochs, rate, batch)
    if any(v.after == variant.name for v in experiment.variants):
        trained[variant.name] = model
    transform = data.transforms.ToFloat(images.mean, images.std)
    test, classes = (images.x_test, images.y_test), len(images.classes)
    outcome.accuracies.append(100 * evaluate(model, *test, transform, classes).accuracy)
    outcome.losses.append(loss)
    outcome.seconds.append(time.perf_counter() - start)


def write(path: Path, outcomes: dict[str, Outcome]) -> None:
    """One row for each run: variant, cost, seed, accuracy, loss, seconds."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(
        "variant parameters madds seed test_accuracy train_loss seconds".split()
    )
    for o in outcomes.values():
        runs = zip(o.accuracies, o.losses, o.seconds)
        for seed, (accuracy, loss, seconds) in enumerate(runs):
            cost = o.count.parameters, o.count.madds
            figures = f"{accuracy:.2f}", f"{loss:.4f}", f"{seconds:.1f}"
            rows.writerow([o.variant, *cost, seed, *figures])
    files.atomic_write(path, out.getvalue())
