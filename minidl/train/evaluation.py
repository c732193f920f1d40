"""How good a model is: loss, accuracy and confusion."""

from dataclasses import dataclass

import numpy as np

from .. import autograd, backend, data, models, storage
from .. import functional as F
from ..errors import CheckpointError
from ..tensor import Tensor
from .config import config_of


@dataclass
class Evaluation:
    """Mean loss, accuracy in [0, 1], and counts (true class, predicted class)."""

    loss: float
    accuracy: float
    confusion: np.ndarray


def evaluate(model, x, y, transform, classes, batch=256, device="cpu") -> Evaluation:
    """Loss and confusion of ``model`` in eval mode on images ``x``, labels ``y``."""
    was_training = model.training
    model.eval()
    confusion, total = np.zeros((classes, classes), np.int64), 0.0
    loader = data.DataLoader(x, y, batch, transform=transform, prefetch=0)
    with autograd.no_grad():
        for images, labels in loader:
            logits = model(Tensor(backend.asarray(images, None, device)))
            target = Tensor(backend.asarray(labels, None, device))
            total += float(F.cross_entropy(logits, target, reduction="sum"))
            predicted = backend.asnumpy(logits.data.argmax(axis=1))
            np.add.at(confusion, (labels, predicted), 1)
    model.train(was_training)
    return Evaluation(total / len(x), float(np.trace(confusion) / len(x)), confusion)


def load_weights(model, arrays: dict) -> None:
    """Copy a checkpoint's ``model.*`` arrays into ``model``."""
    model.load_state_dict(
        {
            name.removeprefix("model."): Tensor(array)
            for name, array in arrays.items()
            if name.startswith("model.")
        }
    )


def load_model(path):
    """The model at ``path`` (a folder or a file) in eval mode, its meta, a warning."""
    arrays, meta, _, warning = storage.resolve(path)
    config = config_of(meta, path)
    about = meta.get("images", {})
    try:
        model = models.create(config.model, about["shape"], len(about["classes"]))
    except KeyError as error:
        raise CheckpointError(
            f"{path}: must describe its images; lacks {error}"
        ) from None
    load_weights(model, arrays)
    return model.eval(), meta, warning
