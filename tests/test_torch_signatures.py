"""Arguments of shared names: torch's order, names and defaults."""

import inspect
import typing

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")

import minidl.functional as F  # noqa: E402
from minidl.autograd import Primitive  # noqa: E402

# The first tensor, `input` in torch, is named after what it holds; so are a few others.
RENAMED = {
    "input": {"x", "logits", "index", "cols"},
    "tensor": {"x", "index"},
    "other": {"y"},
    "exponent": {"y"},
    "axis": {"dim"},  # torch.concatenate, an alias of cat, takes both
}

# (function, argument): why its default differs from torch's.
OTHER_DEFAULT = {
    ("affine_grid", "align_corners"): "torch's None warns, then means False",
    ("grid_sample", "align_corners"): "torch's None warns, then means False",
    ("interpolate", "align_corners"): "torch's None means False",
    ("pad", "value"): "torch's None means 0",
    ("softmax", "dim"): "torch's None warns, then guesses; here dim must be given",
    ("log_softmax", "dim"): "torch's None warns, then guesses; here dim must be given",
    ("logsumexp", "dim"): "here None means all axes, as in sum",
}

# (function, argument): what minidl takes beyond torch.
ADDED = {
    ("batch_norm", "relu"): "one pass over memory for both",
    ("dropout", "mask"): "the draw as an argument, so that it can be repeated",
}

# Names whose torch documentation shows several signatures or an incomplete one, and
# names that torch does not have as a function.
UNREADABLE = {"argmax", "max", "mean", "min", "squeeze", "sum"}
ABSENT = {"expand", "fastfood", "from_sequency", "fwht", "power", "shift"}
ABSENT |= {"take_along_axis", "to_sequency"}


def theirs(name):
    """Torch's parameters: from the signature or, for built-ins, the docstring."""
    function = getattr(torch.nn.functional, name, None) or getattr(torch, name, None)
    try:
        found = inspect.signature(function)
        if "args" not in found.parameters:
            return list(found.parameters.values())
    except (TypeError, ValueError):
        pass
    lines = (line.strip() for line in (function.__doc__ or "").splitlines())
    said = next((s for s in lines if s.startswith(f"{name}(")), "")
    scope = {"Tensor": torch.Tensor, "Optional": typing.Optional}
    try:
        exec(f"def f{said.partition('->')[0][len(name):]}: pass", scope)
    except (SyntaxError, NameError):
        return None
    return list(inspect.signature(scope["f"]).parameters.values())


def ours(name):
    function = getattr(F, name)
    if not isinstance(function, Primitive):
        return list(inspect.signature(function).parameters.values())
    parameter, empty = inspect.Parameter, inspect.Parameter.empty
    defaults = dict.fromkeys(function.optional) | function.defaults
    return [
        parameter(n, parameter.POSITIONAL_OR_KEYWORD, default=defaults.get(n, empty))
        for n in (*function.arrays, *function.options)
    ]


PUBLIC = {n for n in F.__all__ if callable(getattr(F, n))}
NAMES = sorted(PUBLIC - UNREADABLE - ABSENT)


@pytest.mark.parametrize("name", NAMES)
def test_arguments(name):
    """Position by position the same name and default; keywords known to torch."""
    their = theirs(name)
    named = {p.name: p for p in their}
    for i, p in enumerate(ours(name)):
        if (name, p.name) in ADDED:
            assert p.kind is p.KEYWORD_ONLY
            continue
        if p.kind is p.KEYWORD_ONLY:
            t = named[p.name]
        else:
            t = their[i]
            assert p.name == t.name or p.name in RENAMED.get(t.name, ())
        if (name, p.name) not in OTHER_DEFAULT:
            assert p.default == t.default
        else:
            assert p.default != t.default


def test_listed_exceptions_exist():
    assert UNREADABLE | ABSENT <= PUBLIC
    assert not any(hasattr(torch, n) or hasattr(torch.nn.functional, n) for n in ABSENT)
    for name, argument in [*OTHER_DEFAULT, *ADDED]:
        assert argument in {p.name for p in ours(name)}
