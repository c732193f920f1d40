"""Checks of derivatives and of whole ops: the same for the tests and for the graders.

Everything is done in float64 with a random upstream gradient: a check that feeds ones
passes a backward that ignores what comes from above.
"""

import inspect
from functools import partial

import numpy as np

from . import autograd, backend, ops
from .autograd import Primitive, grad, no_grad
from .errors import MinidlError
from .samples import Draw
from .tensor import Tensor

# Relative and absolute tolerance by what is compared; one place for all of them.
TOLERANCE = {
    "derivative": (1e-5, 1e-7),
    "float64": (1e-11, 1e-12),
    "float32": (3e-5, 3e-6),
}


class CheckFailure(MinidlError, AssertionError):
    """A check found a difference; the message says which and where."""


def assert_close(got, expected, kind, what):
    """Raise CheckFailure at the first element beyond the tolerance of ``kind``."""
    got, expected = (np.asarray(backend.asnumpy(a)) for a in (got, expected))
    if got.shape != expected.shape:
        raise CheckFailure(f"{what}: shape must be {expected.shape}; got {got.shape}")
    rtol, atol = TOLERANCE[kind]
    good = np.isclose(got, expected, rtol, atol, equal_nan=True)
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise CheckFailure(
            f"{what}: {np.count_nonzero(~good)} of {good.size} elements differ; first "
            f"at {at}: must be {expected[at]:.9g}; got {got[at]:.9g}"
        )


def _leaves(inputs):
    """Fresh leaves for the float inputs, so that the caller's keep their gradients."""
    return [
        Tensor(x.data, True) if isinstance(x, Tensor) and x.requires_grad else x
        for x in inputs
    ]


def _outputs(func, inputs):
    out = func(*inputs)
    return list(out) if isinstance(out, tuple | list) else [out]


def _float_outputs(func, inputs):
    """The outputs that could have a gradient, also those that the graph left out."""
    return [y for y in _outputs(func, inputs) if y.dtype.kind == "f"]


def _gradients(outs, sources, upstream, where):
    """`grad` with the arrays ``upstream``; neither they nor the outputs may change."""
    arrays = [*upstream, *(y.data for y in outs)]
    before = [a.copy() for a in arrays]
    found = grad(outs, sources, [Tensor(v) for v in upstream], allow_unused=True)
    if not all(map(partial(np.array_equal, equal_nan=True), arrays, before)):
        raise CheckFailure(f"{where}: backward changed its output or upstream gradient")
    return found


def _numeric(func, inputs, x, direction, upstream, eps):
    """``<upstream, (f(x + eps d) - f(x - eps d)) / 2 eps>``, x shifted in place."""
    values = []
    saved = x.data.copy()
    for step in (eps, -eps):
        x.data[...] = saved + step * direction
        with no_grad():
            outs = _float_outputs(func, inputs)
        values.append(sum(float((v * y.data).sum()) for v, y in zip(upstream, outs)))
    x.data[...] = saved
    return (values[0] - values[1]) / (2 * eps)


def gradcheck(
    func, inputs, eps=1e-6, *, directions=3, coordinates=8, seed=0, raise_exception=True
) -> bool:
    """Whether the gradients of ``func(*inputs)`` agree with central differences.

    ``<v, J d>`` is compared with ``<J^T v, d>`` for a random upstream ``v``, along
    random directions ``d`` and along up to ``coordinates`` single elements of each
    float64 input that requires a gradient.

    Raises: CheckFailure naming the input, unless ``raise_exception`` is False.
    """
    inputs = _leaves(inputs if isinstance(inputs, tuple | list) else [inputs])
    sources = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not sources or any(x.dtype != "float64" for x in sources):
        raise CheckFailure("gradcheck: needs float64 inputs that require a gradient")
    for x in sources:
        x.data = np.array(x.data)
    rng = np.random.default_rng(seed)
    outs = _float_outputs(func, inputs)
    upstream = [rng.standard_normal(y.shape) for y in outs]
    tracked = [(y, v) for y, v in zip(outs, upstream) if y.requires_grad]
    try:
        if not tracked:
            raise CheckFailure("gradcheck: no output depends on the inputs")
        ys, vs = zip(*tracked)
        found = _gradients(list(ys), sources, vs, "gradcheck")
        for i, (x, g) in enumerate(zip(sources, found)):
            g = np.zeros(x.shape) if g is None else g.data
            tried = [rng.standard_normal(x.shape) for _ in range(directions)]
            for k in rng.permutation(x.numel())[:coordinates]:
                unit = np.zeros(x.shape)
                unit.flat[k] = 1.0
                tried.append(unit)
            for d in tried if x.numel() else []:
                numeric = _numeric(func, inputs, x, d, upstream, eps)
                assert_close(
                    float((g * d).sum()),
                    numeric,
                    "derivative",
                    f"gradient of input {i}",
                )
    except CheckFailure:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    eps=1e-6,
    *,
    seed=0,
    raise_exception=True,
    **options,
) -> bool:
    """Whether the second derivatives are right: `gradcheck` of the gradient.

    The function checked maps inputs and upstream gradients to the gradients.
    """
    inputs = _leaves(inputs if isinstance(inputs, tuple | list) else [inputs])
    outs = [y for y in _outputs(func, inputs) if y.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        grad_outputs = [Tensor(rng.standard_normal(y.shape), True) for y in outs]
    count = len(inputs)

    def gradient(*everything):
        xs, vs = everything[:count], everything[count:]
        with autograd.enable_grad():
            ys = [y for y in _outputs(func, xs) if y.requires_grad]
            sources = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
            found = grad(ys, sources, list(vs), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient,
        [*inputs, *grad_outputs],
        eps,
        seed=seed,
        raise_exception=raise_exception,
        **options,
    )


def adjoint_check(func, x, seed=0) -> None:
    """Check ``<A x, v> == <x, A^T v>`` for a linear ``func``, A^T being its gradient.

    Also that func is linear: ``A(2 x) == 2 A x`` and ``A 0 == 0``.
    """
    rng = np.random.default_rng(seed)
    leaf = Tensor(np.array(x.data), True)
    y = func(leaf)
    v = rng.standard_normal(y.shape)
    (back,) = grad(y, leaf, Tensor(v))
    assert_close((y.data * v).sum(), (x.data * back.data).sum(), "float64", "adjoint")
    with no_grad():
        assert_close(func(Tensor(x.data * 2)).data, y.data * 2, "float64", "linearity")
        assert_close(func(Tensor(x.data * 0)).data, y.data * 0, "float64", "zero")


def as_tensors(sample, dtype="float64", requires_grad=True):
    """A sample's arguments as Tensors; the float ones have ``dtype``."""
    tensors = []
    for a in sample.args:
        if isinstance(a, np.ndarray):
            a = a.astype(dtype) if a.dtype == "float64" else a
            a = Tensor(a, requires_grad and a.dtype.kind == "f")
        tensors.append(a)
    return tensors


def _layouts(a):
    """The same values in awkward memory: reversed strides, gaps, Fortran order."""
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return [a] * 3
    gaps = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)[..., ::2]
    gaps[...] = a
    return [a[..., ::-1].copy()[..., ::-1], gaps, np.asfortranarray(a)]


def _run(op, inputs, options, upstream=None):
    """The output and the gradients of the float inputs; nothing given may change."""
    before = [t.data.copy() if isinstance(t, Tensor) else t for t in inputs]
    y = op(*inputs, **options)
    sources = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    if sources and y.dtype.kind == "f" and not y.requires_grad:
        raise CheckFailure(f"{op.name}: output must require a gradient")
    found = []
    if y.requires_grad:
        v = np.ones(y.shape) if upstream is None else upstream
        found = _gradients([y], sources, [v.astype(y.dtype, copy=False)], op.name)
    for t, b in zip(inputs, before):
        if isinstance(t, Tensor) and not np.array_equal(t.data, b, equal_nan=True):
            raise CheckFailure(f"{op.name}: an input was changed")
    return y, [g if g is None else g.data for g in found]


def _compare(got, expected, kind, what):
    """One output and its gradients against those of another run."""
    (y, gradients), (z, others) = got, expected
    assert_close(y.data, z.data, kind, what)
    for i, (g, h) in enumerate(zip(gradients, others)):
        if (g is None) != (h is None):
            raise CheckFailure(f"{what}: gradient {i} must not depend on it")
        if g is not None:
            assert_close(g, h, kind, f"{what}, gradient {i}")


def _check_forward(op, sample):
    """dtype kept, nothing mutated, memory layout irrelevant: output and gradients."""
    v = np.random.default_rng(0).standard_normal(
        op(*as_tensors(sample), **sample.options).shape
    )
    plain = _run(op, as_tensors(sample), sample.options, v)
    for dtype in ("float32", "float64"):
        y, gradients = _run(op, as_tensors(sample, dtype), sample.options, v)
        if y.dtype.kind == "f" and not op.casts and y.dtype != dtype:
            raise CheckFailure(f"{op.name}: {dtype} must stay so; got {y.dtype}")
        if y.dtype.kind == "f":
            _compare((y, gradients), plain, dtype, f"{op.name} in {dtype}")
    for layout in range(3):
        strided = [
            Tensor(a, a.dtype.kind == "f") if isinstance(a, np.ndarray) else a
            for a in (_layouts(a)[layout] for a in sample.args)
        ]
        run = _run(op, strided, sample.options, _layouts(v)[layout])
        _compare(run, plain, "float64", f"{op.name} on strided memory")


def _inner(x):
    """The same values inside a graph: there an op keeps only what its vjps declare."""
    differentiable = isinstance(x, Tensor) and x.requires_grad
    return ops.reshape(x, shape=x.shape) if differentiable else x


def check_op(op: Primitive, sample) -> None:
    """All generic checks of one op on one sample: forward, derivatives of both orders.

    Raises: CheckFailure (or what the op raises) at the first fault.
    """
    _check_forward(op, sample)
    inputs = as_tensors(sample)
    tracked = [i for i, x in enumerate(inputs) if getattr(x, "requires_grad", False)]

    def call(*xs):
        return op(*map(_inner, xs), **sample.options)

    y = call(*inputs)
    if not y.requires_grad:
        return
    gradcheck(call, inputs)
    gradgradcheck(call, inputs)
    if op.linear:
        for i in tracked:
            adjoint_check(lambda x: call(*inputs[:i], x, *inputs[i + 1 :]), inputs[i])


def samples_of(op: Primitive, seed=0):
    """The op's samples, drawn anew from ``seed``."""
    return op.samples(Draw(seed))


def check_layer(layer, *inputs, seed=0) -> None:
    """Checks that hold for every Module, on float64 inputs.

    Gradients of inputs and parameters against differences, to second order; every
    parameter receives a gradient; the state round-trips; inputs stay unmutated; train
    and eval keep the output's shape and dtype; a second call gives the same result.
    """
    layer.to("float64")
    layer.train()
    parameters = list(layer.parameters())
    inputs = [Tensor(np.array(x.data), x.dtype.kind == "f") for x in inputs]
    before = [x.data.copy() for x in inputs]
    state = {k: v.data.copy() for k, v in layer.state_dict().items()}
    buffers = {k: v.data.copy() for k, v in layer.named_buffers()}

    def run(*values):
        for name, buffer in layer.named_buffers():
            buffer.data[...] = buffers[name]  # running statistics must not drift
        return layer(*values[: len(inputs)])

    y = run(*inputs)
    assert_close(run(*inputs).data, y.data, "float64", "second call")
    if y.requires_grad:
        y.backward(Tensor(np.random.default_rng(seed).standard_normal(y.shape)))
        for name, p in layer.named_parameters():
            if p.grad is None or p.grad.shape != p.shape:
                raise CheckFailure(f"{name}: parameter must receive a gradient")
        tracked = [x for x in inputs if x.requires_grad] + parameters
        _check_in_place(lambda: run(*inputs), tracked, seed)
    for x, b in zip(inputs, before):
        if not np.array_equal(x.data, b):
            raise CheckFailure("layer: an input was changed")
    layer.load_state_dict({k: Tensor(v) for k, v in state.items()})
    layer.eval()
    out = layer(*inputs)
    if out.shape != y.shape or out.dtype != y.dtype:
        raise CheckFailure(f"eval: output must be {y.dtype}{y.shape}; got {out.shape}")


def _check_in_place(run, sources, seed):
    """gradcheck and gradgradcheck over tensors that ``run`` reads by itself."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(run().shape)

    def first():
        with autograd.enable_grad():
            return grad(run(), sources, Tensor(v), create_graph=True, allow_unused=True)

    weights = [rng.standard_normal(x.shape) for x in sources]

    def second():
        gs = first()
        with autograd.enable_grad():
            return sum(
                (g * Tensor(w)).sum() for g, w in zip(gs, weights) if g is not None
            )

    for order, value in ((1, lambda: (run() * Tensor(v)).sum()), (2, second)):
        out = value()
        if not isinstance(out, Tensor) or not out.requires_grad:
            continue
        found = grad(out, sources, allow_unused=True)
        for i, (x, g) in enumerate(zip(sources, found)):
            g = np.zeros(x.shape) if g is None else g.data
            for d in [rng.standard_normal(x.shape) for _ in range(3)]:
                numeric = _numeric(lambda: [value()], [], x, d, [np.ones(())], 1e-6)
                assert_close(
                    (g * d).sum(),
                    numeric,
                    "derivative",
                    f"derivative {order} of tensor {i}",
                )


def all_ops() -> dict[str, Primitive]:
    """Every registered primitive by name."""
    assert inspect.ismodule(ops)
    return dict(autograd.REGISTRY)
