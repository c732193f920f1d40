"""Two ways to keep a net from learning by heart: mixed images, shaken branches."""

from dataclasses import replace

import numpy as np

from .. import data, nn
from ..papers.mixup import Mixed
from ..papers.shake_shake import shake_shake
from .study import Claim, Experiment, Variant

# mixup: where labels are wrong, and where they are right.

WRONG = 0.4  # so many of the labels are drawn anew


def mislabelled(images: data.Dataset, seed: int, share: float = WRONG) -> data.Dataset:
    """The same images; a share of the training labels is drawn anew, uniformly."""
    rng = np.random.default_rng([seed, 73])
    y = images.y_train.copy()
    chosen = rng.random(len(y)) < share
    y[chosen] = rng.integers(len(images.classes), size=chosen.sum())
    return replace(images, y_train=y)


def _perceptron(shape, classes):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(int(np.prod(shape)), 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def _mixed(alpha):
    return lambda shape, classes: Mixed(_perceptron(shape, classes), alpha)


MIXUP = Experiment(
    "mixup-noise",
    "does mixup help where labels are wrong?",
    "Zhang et al. 2018",
    (
        Variant("40 % wrong: plain", _perceptron, images=mislabelled),
        Variant("40 % wrong: mixup 1", _mixed(1.0), images=mislabelled),
        Variant("40 % wrong: mixup 8", _mixed(8.0), images=mislabelled),
        Variant("clean: plain", _perceptron),
        Variant("clean: mixup 1", _mixed(1.0)),
        Variant("clean: mixup 8", _mixed(8.0)),
    ),
    (
        Claim(
            "Mixup keeps wrong labels from being learned by heart.",
            "40 % wrong: mixup 1",
            "40 % wrong: plain",
            1,
        ),
        Claim(
            "The more is mixed, the better.",
            "40 % wrong: mixup 8",
            "40 % wrong: mixup 1",
        ),
        Claim("It helps with right labels, too.", "clean: mixup 1", "clean: plain"),
    ),
    epochs=25,
    seeds=5,
    lr=1e-3,
)

# Shake-Shake: which numbers forwards, which backwards?

FEW = 500  # training images: where there are many, nothing has to be regularised


def _first(images, seed):
    few = slice(FEW)
    return replace(images, x_train=images.x_train[few], y_train=images.y_train[few])


def _shaken(*mode):
    def build(shape, classes):
        net = shake_shake(8, 8, mode, in_channels=shape[0], classes=classes)
        return nn.Sequential(nn.AvgPool2d(2), net)

    return Variant("-".join(mode), build, images=_first)


SHAKE = Experiment(
    "shake-modes",
    "how should two branches be mixed, forwards and backwards?",
    "Gastaldi 2017",
    (
        _shaken("even", "even"),
        _shaken("even", "shake"),
        _shaken("shake", "keep"),
        _shaken("shake", "even"),
        _shaken("shake", "shake"),
    ),
    (
        Claim("Shaken both ways beats even.", "shake-shake", "even-even"),
        Claim("Shaken forwards beats even.", "shake-even", "even-even"),
        Claim(
            "Backwards the number should not be the one of before.",
            "shake-shake",
            "shake-keep",
        ),
        Claim("Shaken backwards alone is not enough.", "shake-shake", "even-shake"),
    ),
    epochs=40,
)

EXPERIMENTS = (MIXUP, SHAKE)
