"""The summary counts exactly, by watching, and leaves the model as it was."""

import copy
import io
import re

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import models, nn, random
from minidl.errors import ArgumentError, DtypeError, ShapeError
from minidl.nn import summary

# LeNet 20-50-500 on 28x28: type, output, parameters (weights + biases), multiply-adds
# (outputs x weights of one), bytes of the float32 output.
LENET = [
    ("Conv2d", (1, 20, 24, 24), 20 * 25 + 20, 20 * 24 * 24 * 25, 4 * 11520),
    ("MaxPool2d", (1, 20, 12, 12), 0, 0, 4 * 2880),
    ("Conv2d", (1, 50, 8, 8), 50 * 500 + 50, 50 * 8 * 8 * 500, 4 * 3200),
    ("MaxPool2d", (1, 50, 4, 4), 0, 0, 4 * 800),
    ("Flatten", (1, 800), 0, 0, 4 * 800),
    ("Linear", (1, 500), 500 * 800 + 500, 500 * 800, 4 * 500),
    ("ReLU", (1, 500), 0, 0, 4 * 500),
    ("Linear", (1, 10), 10 * 500 + 10, 10 * 500, 4 * 10),
]


def test_lenet_item_by_item():
    model = models.create("lenet")
    s = summary(model, (1, 28, 28))
    assert [tuple(vars(row).values())[1:] for row in s.rows] == LENET
    assert [row.name for row in s.rows] == list("01234567")
    assert s.total.parameters == 431_080 == 430_500 + 20 + 50 + 500 + 10
    assert s.total.parameters == sum(p.numel() for p in model.parameters())
    assert s.total.madds == 288_000 + 1_600_000 + 400_000 + 5_000 == 2_293_000
    assert s.total.memory == sum(row[-1] for row in LENET)
    many = summary(model, (1, 28, 28), batch=3)
    assert many.total.madds == 3 * 2_293_000 and many.total.parameters == 431_080
    assert (
        many.rows[0].shape == (3, 20, 24, 24)
        and many.total.memory == 3 * s.total.memory
    )


def test_groups_transposes_and_padding_count_what_is_executed():
    s = summary(nn.Conv2d(8, 12, 3, padding=1, groups=4), (8, 5, 6))
    assert s.total.madds == 12 * 5 * 6 * (8 // 4) * 9
    s = summary(nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, bias=False), (6, 5, 5))
    assert s.total == (6 * 2 * 9, 6 * 25 * (4 // 2) * 9, 4 * 4 * 11 * 11)
    assert len(s.rows) == 1 and s.rows[0].name == ""


class Odd(nn.Module):
    """Own work, sharing, several outputs, an unused and a bypassed layer."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Sequential(self.a, nn.ReLU())
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.a.weight
        self.unused = nn.Linear(7, 3)
        self.scale = nn.Parameter(np.ones(4, "float32"))

    def forward(self, x):
        x = self.tied(self.b(self.a(x))) * self.scale
        square = x.reshape(2, 2, -1) @ x.reshape(2, -1, 2)
        return {"y": F.einsum("ij,kj->ik", x, x), "z": (square, x)}


def test_sharing_own_work_and_unused_layers():
    s = summary(Odd(), 4, batch=3)
    rows = {(row.name, i): row for i, row in enumerate(s.rows)}
    assert [k for k, _ in rows] == ["", "a", "a", "b.1", "tied", "unused"]
    root, first, again, relu, tied, unused = s.rows
    assert (root.parameters, root.madds) == (4, 2 * 2 * 2 * 3 + 3 * 3 * 4)
    assert root.shape == [(3, 3), (2, 2, 2), (3, 4)] and root.memory == 4 * (9 + 8 + 12)
    assert (first.parameters, first.madds) == (16, 3 * 16) and relu.madds == 0
    assert (again.parameters, again.madds) == (0, 48) == (tied.parameters, tied.madds)
    assert (unused.parameters, unused.madds, unused.shape) == (24, 0, None)
    assert s.total.parameters == sum(p.numel() for p in Odd().parameters()) == 44
    text = str(s)
    assert "not called" in text and "3x3, 2x2x2, 3x4" in text.replace("\n", "")


class Noisy(nn.Module):
    """Draws numbers whatever the mode."""

    def forward(self, x):
        return x + float(random.generator().normal())


def everything(model):
    return [(m.training, sorted(vars(m))) for m in model.modules()], {
        k: t.data.copy() for k, t in model.state_dict().items()
    }


@pytest.mark.parametrize("shape", [(2, 6, 6), (3, 6, 6)], ids=["works", "fails"])
def test_nothing_is_left_behind(shape):
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), Noisy(), nn.Dropout(), nn.BatchNorm2d(3)
    )
    model[1].eval()  # a frozen layer in a model in training
    model[2].forward = lambda x: x + float(random.generator().normal())
    own = model[2].forward
    modes, state = everything(model)
    before = copy.deepcopy(random.get_state())
    if shape[0] == 2:
        summary(model, shape)
    else:
        with pytest.raises(ShapeError):
            summary(model, shape)
    after_modes, after = everything(model)
    assert after_modes == modes and random.get_state() == before
    assert model[2].forward is own and model.training and not model[1].training
    assert all(np.array_equal(after[k], state[k]) for k in state)
    assert all(p.grad is None for p in model.parameters())
    assert minidl.is_grad_enabled()


def test_wrong_inputs_name_the_layer():
    model = models.create("lenet")
    with pytest.raises(
        ShapeError,
        match=r"summary: 0 \(Conv2d\) refused input_shape "
        r"\(3, 28, 28\): conv2d: input must have 1 channels",
    ):
        summary(model, (3, 28, 28))
    with pytest.raises(
        ShapeError, match=r"summary: 5 \(Linear\) refused.*linear: weight"
    ):
        summary(model, (1, 32, 32))
    for shape, batch in (((1, 0, 28), 1), ((1, 28.0, 28), 1), ((1, 28, 28), 0)):
        with pytest.raises(
            ArgumentError, match="summary: (input_shape|batch) must be an"
        ):
            summary(model, shape, batch)


def test_dtype_follows_the_parameters_or_the_caller():
    double = models.create("mlp").to("float64")
    assert summary(double, (1, 28, 28)).total.memory == 8 * (784 + 128 + 128 + 10)
    s = summary(nn.Embedding(10, 3), (5,), dtype="int64")
    assert s.rows[0].shape == (1, 5, 3) and s.total == (30, 0, 60)
    with pytest.raises(DtypeError, match="embedding: index must be integers"):
        summary(nn.Embedding(10, 3), (5,))
    assert summary(nn.ReLU(), (3,)).total == (0, 0, 12)


@pytest.mark.parametrize("name, shape", [("lenet", (1, 28, 28)), ("mlp", (3, 64, 64))])
def test_the_table_fits_80_columns(name, shape):
    s = summary(models.create(name, shape), shape)
    lines = str(s).splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) >= len(s.rows) + 4
    assert "parameters" in str(s) and "MAdds" in str(s)
    digits = re.sub(r"\s", "", str(s))
    assert f"{s.total.parameters:,}" in digits and f"{s.total.madds:,}" in digits


def test_long_names_are_folded_not_cut():
    model = nn.Sequential(
        {
            "a_very_long_name_of_a_block": nn.Sequential(
                {"and_a_long_name_inside_of_it": nn.Linear(3, 4)}
            )
        }
    )
    text = str(summary(model, (3,)))
    assert max(map(len, text.splitlines())) <= 80
    assert "a_very_long_name_of_a_block." in text
    assert "and_a_long_name_inside_of_it" in text


def test_rich_prints_the_same_table():
    from rich.console import Console

    console = Console(width=80, file=io.StringIO())
    console.print(summary(models.create("lenet"), (1, 28, 28)))
    assert "2,293,000" in console.file.getvalue()
