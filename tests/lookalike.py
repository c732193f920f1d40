"""A look-alike of CuPy over NumPy, so that the GPU path runs on any machine.

It computes with NumPy but behaves as CuPy 14 does where the two differ: arrays of an
own class that never turn into NumPy arrays by themselves, 0-d arrays where NumPy gives
scalars, no names or keywords that CuPy lacks, out-of-range index arrays that wrap.
It is stricter in one place: host arrays are refused as indices (CuPy uploads them).

What would make the host wait for the GPU is noted in `syncs`, with file and line.
"""

import operator
import sys
import types
from contextlib import contextmanager
from functools import partial

import cuda_shim
import elementwise_c
import numpy as np
import pytest

from minidl.kernels import _cuda

# Public names of NumPy 2 that CuPy 14.2 does not have.
MISSING = frozenset("""
    False_ ScalarType True_ asmatrix block bmat busday_count busday_offset
    busdaycalendar bytes_ char character clongdouble complex256 core ctypeslib
    datetime64 datetime_as_string datetime_data dtypes einsum_path emath errstate f2py
    flexible float128 frompyfunc fromregex geomspace get_include getbufsize geterr
    geterrcall histogram_bin_edges info insert is_busday isnat longdouble ma matrix
    matvec memmap nanpercentile nanquantile ndenumerate nditer nested_iters object_
    polyder polydiv polyint rec recarray record sctypeDict setbufsize seterr seterrcall
    show_runtime spacing str_ strings test timedelta64 typecodes unstack vecdot vecmat
    void linalg.diagonal linalg.matrix_norm linalg.multi_dot linalg.outer
    linalg.svdvals linalg.tensordot linalg.trace linalg.vecdot linalg.vector_norm
""".split())
KEYWORDS = frozenset("where initial device like signature subok".split())
WAITING = frozenset("""
    argwhere bincount compress extract flatnonzero intersect1d nonzero setdiff1d union1d
    unique
""".split())
METHODS = """
    all any argmax argmin argpartition argsort astype byteswap choose clip compress conj
    conjugate copy cumprod cumsum diagonal dot fill flatten max mean min partition prod
    ptp put ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take
    trace transpose var view
""".split()
BINARY = "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()
COMPARISONS = "eq ne lt le gt ge".split()
# What CuPy's atomic addition supports; int64 is not among it.
ATOMIC = ("int32", "uint32", "uint64", "float16", "float32", "float64")

syncs: list[str] = []
silently = np.errstate(all="ignore")  # a GPU does not warn of 1 / 0


def note(what):
    """Record a wait for the GPU and the line of minidl that caused it."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    syncs.append(f"{what} at {frame.f_code.co_filename}:{frame.f_lineno}")


def refuse(value):
    raise TypeError(f"Unsupported type {type(value)}")


def unwrap(value, sequences=True):
    """What NumPy is to compute with; host arrays are refused at any depth."""
    if isinstance(value, ndarray):
        return value._host
    sequence = isinstance(value, list | tuple)
    if isinstance(value, np.ndarray) or sequence and not sequences:
        refuse(value)
    if sequence:
        return tuple(map(unwrap, value))
    return value


def wrap(value):
    """A result of NumPy's as CuPy would give it: device arrays, never scalars."""
    if isinstance(value, np.ndarray | np.generic | bool):
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return tuple(map(wrap, value))
    return value


def _checked(keywords):
    for name in KEYWORDS & keywords.keys():
        raise TypeError(f"got an unexpected keyword argument '{name}'")
    return {name: unwrap(value) for name, value in keywords.items()}


def _index(x, index):
    """An index for NumPy: device arrays only, integers wrapped into range."""
    parts, axis = [], 0
    given = index if isinstance(index, tuple) else (index,)
    used = sum(i.ndim if isinstance(i, ndarray) and i.dtype == bool else
               i is not None and i is not Ellipsis for i in given)
    for part in given:
        if isinstance(part, list):
            part = ndarray(np.asarray(unwrap(part), None if part else np.int32))
        if isinstance(part, np.ndarray):
            refuse(part)
        if part is Ellipsis:
            axis += x.ndim - used
        elif isinstance(part, ndarray) and part.dtype == bool:
            note("boolean index")
            axis, part = axis + part.ndim, part._host
        elif part is not None:
            if isinstance(part, ndarray):
                part = part._host
                part = part % x.shape[axis] if axis < x.ndim and part.size else part
            axis += 1
        parts.append(part)
    if all(part is not Ellipsis for part in parts):
        parts.append(Ellipsis)  # so that a single element stays an array, and a view
    return tuple(parts)


class ndarray:
    """Device memory, as far as minidl can tell."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host):
        self._host = host

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    strides = property(lambda self: self._host.strides)
    T = property(lambda self: ndarray(self._host.T))
    base = property(lambda self: wrap(self._host.base))

    @property
    def flags(self):  # there is no read-only device memory
        names = ("c_contiguous", "f_contiguous", "owndata", "forc")
        return types.SimpleNamespace(**{n: getattr(self._host.flags, n) for n in names})

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please "
                        "use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return Ufunc(ufunc, method)(*inputs, **kwargs)

    def __array_function__(self, function, _types, args, kwargs):
        return call(function, args, kwargs)

    def __getitem__(self, index):
        return ndarray(self._host[_index(self, index)])

    def __setitem__(self, index, value):
        self._host[_index(self, index)] = unwrap(value, sequences=False)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def get(self):
        note("get")
        return self._host.copy()

    def item(self):
        note("item")
        return self._host.item()

    def tolist(self):
        note("tolist")
        return self._host.tolist()

    def nonzero(self):
        note("nonzero")
        return wrap(self._host.nonzero())

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA

    def __dlpack__(self, **kwargs):
        return self

    def __matmul__(self, other):
        return _binary(operator.matmul, self, other)

    def __rmatmul__(self, other):
        return _binary(operator.matmul, other, self)


@silently
def _binary(function, x, y):
    for value in (x, y):
        if getattr(type(value), "__array_ufunc__", 0) is None:
            return NotImplemented
    return wrap(function(unwrap(x, sequences=False), unwrap(y, sequences=False)))


@silently
def _in_place(function, x, y):
    function(x._host, unwrap(y, sequences=False), out=x._host)
    return x


@silently
def _method(name, self, *args, **kwargs):
    result = getattr(self._host, name)(*map(unwrap, args), **_checked(kwargs))
    return self if result is self._host else wrap(result)


def _converted(kind, self):
    note(kind.__name__)
    return kind(self._host)


def _bound(function):
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


_UFUNCS = {"sub": "subtract", "mul": "multiply", "truediv": "true_divide", "mod": "mod",
           "floordiv": "floor_divide", "pow": "power", "and": "bitwise_and",
           "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift",
           "rshift": "right_shift"}
for _name in BINARY:
    _function = getattr(operator, f"__{_name}__")
    _ufunc = getattr(np, _UFUNCS.get(_name, _name))
    setattr(ndarray, f"__{_name}__", _bound(partial(_binary, _function)))
    setattr(ndarray, f"__r{_name}__",
            (lambda function: lambda x, y: _binary(function, y, x))(_function))
    setattr(ndarray, f"__i{_name}__", _bound(partial(_in_place, _ufunc)))
for _name in COMPARISONS:
    setattr(ndarray, f"__{_name}__", _bound(partial(_binary, getattr(operator, _name))))
for _name in METHODS:
    setattr(ndarray, _name, _bound(partial(_method, _name)))
for _name in ("neg", "pos", "abs", "invert"):
    _function = getattr(operator, _name)
    setattr(ndarray, f"__{_name}__",
            (lambda function: lambda x: wrap(function(x._host)))(_function))
for _kind in (float, int, bool, complex, repr, str):
    setattr(ndarray, f"__{_kind.__name__}__", _bound(partial(_converted, _kind)))


@silently
def call(function, args, kwargs):
    """A NumPy function on device arrays, under CuPy's rules."""
    name = function.__name__
    if name in WAITING or name == "where" and len(args) == 1:
        note(name)
    result = function(*map(unwrap, args), **_checked(kwargs))
    return wrap(np.asarray(result) if name == "count_nonzero" else result)


class Ufunc:
    """An elementwise function of NumPy's: no lists, no host arrays, `at` by atomics."""

    def __init__(self, ufunc, method="__call__"):
        self.ufunc, self.method = ufunc, method

    @silently
    def __call__(self, *args, out=None, **kwargs):
        args = [unwrap(a, sequences=False) for a in args]
        kwargs, outs = _checked(kwargs), out if isinstance(out, tuple) else (out,)
        if out is not None:
            kwargs["out"] = tuple(map(unwrap, outs))
        result = getattr(self.ufunc, self.method)(*args, **kwargs)
        return wrap(result) if out is None else outs[0]

    def at(self, target, index, values):
        if target.dtype not in ATOMIC:
            raise TypeError(f"scatter_{self.ufunc.__name__} only supports int32, "
                            "float16, float32, float64, uint32, uint64, as data type")
        self.ufunc.at(target._host, _index(target, index), unwrap(values))


class ElementwiseKernel:
    """CuPy's: a body of C for one element; `elementwise_c` interprets it."""

    def __init__(self, in_params, out_params, operation, name="kernel", **options):
        self.inputs, self.outputs = (
            [tuple(p.strip().rsplit(" ", 1)) for p in params.split(",")]
            for params in (in_params, out_params)
        )
        self.operation, self.name = operation, name

    @silently
    def __call__(self, *args):
        """Outputs may follow the inputs: they are read and changed in place."""
        parameters = self.inputs + self.outputs[: len(args) - len(self.inputs)]
        dtypes, names = {}, {}
        for (kind, _), value in zip(parameters, args, strict=True):
            if len(kind) == 1 and isinstance(value, ndarray):
                assert dtypes.setdefault(kind, value.dtype) == value.dtype, self.name
        for kind, _ in self.inputs + self.outputs:
            dtypes.setdefault(kind, np.dtype(elementwise_c.TYPES.get(kind, kind)))
        for (kind, name), value in zip(parameters, args):
            host = np.asarray(unwrap(value, sequences=False))
            names[name] = host.astype(dtypes[kind])
        shape = np.broadcast_shapes(*(value.shape for value in names.values()))
        for kind, name in self.outputs[len(args) - len(self.inputs) :]:
            names[name] = np.zeros(shape, dtypes[kind])
        given = dict(zip((name for _, name in parameters), args))
        shared = [[k for k, v in given.items() if v is a] for a in given.values()]
        changed = elementwise_c.run(self.operation, names, dtypes, shared)
        results = []
        for _, name in self.outputs:
            if name not in given:
                results.append(ndarray(np.broadcast_to(changed[name], shape).copy()))
            elif name in changed:
                given[name]._host[...] = changed[name]
        return results[0] if len(results) == 1 else tuple(results)


class RawKernel(cuda_shim.RawKernel):
    """CUDA source, run on the CPU with every access to memory watched."""

    def __call__(self, grid, block, args, **options):
        if any(isinstance(a, np.ndarray) for a in args):
            raise TypeError(f"{self.name}: CuPy would pass a NumPy array by its value")
        if not cuda_shim.available():
            pytest.skip(cuda_shim.MISSING)
        super().__call__(grid, block, tuple(map(unwrap, args)), **options)


def asarray(data, dtype=None, order=None, *, copy=None, blocking=False):
    """The one way onto the device."""
    if isinstance(data, ndarray):
        return data.astype(dtype or data.dtype, copy=bool(copy))
    return ndarray(np.array(unwrap(data) if isinstance(data, list) else data, dtype))


class Module(types.ModuleType):
    """A module whose names are NumPy's, less those that CuPy lacks."""

    def __init__(self, name, namesake, prefix="", **names):
        super().__init__(name)
        self.__dict__.update(names, _namesake=namesake, _prefix=prefix)

    def __getattr__(self, name):
        lacking = name.startswith("_") or f"{self._prefix}{name}" in MISSING
        if lacking or not hasattr(self._namesake, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(self._namesake, name)
        if isinstance(value, types.ModuleType):
            return Module(f"cupy.{name}", value, f"{name}.")
        if isinstance(value, np.ufunc):
            return Ufunc(value)
        if isinstance(value, type) or not callable(value):
            return value
        return lambda *args, **kwargs: call(value, args, kwargs)


def make(available=True):
    """A fresh module that passes for `cupy`, on a machine with or without a GPU."""
    synchronize = partial(note, "synchronize")
    stream = types.SimpleNamespace(synchronize=synchronize)
    device = types.SimpleNamespace(id=0, synchronize=synchronize)
    cuda = types.SimpleNamespace(
        is_available=lambda: available,
        Stream=types.SimpleNamespace(null=stream),
        get_current_stream=lambda: stream,
        runtime=types.SimpleNamespace(getDeviceCount=lambda: int(available)),
        Device=lambda number=0: device,
    )
    return Module(
        "cupy", np, ndarray=ndarray, cuda=cuda, is_available=lambda: available,
        asarray=asarray, array=partial(asarray, copy=True), from_dlpack=asarray,
        asnumpy=lambda x: x.get() if isinstance(x, ndarray) else np.asarray(x),
        ElementwiseKernel=ElementwiseKernel, RawKernel=RawKernel, empty=empty,
        __version__="14.2.0",
    )


def empty(shape, dtype=float, order="C"):
    """Memory that nobody wrote: NaN, so that what a kernel leaves out is seen."""
    host = np.empty(shape, dtype, order)
    host.fill(np.nan if host.dtype.kind == "f" else 113)
    return ndarray(host)


@contextmanager
def installed(available=True):
    """Inside, ``import cupy`` gives the look-alike; nothing of it outlives that."""
    before = sys.modules.pop("cupy", None)
    sys.modules["cupy"] = module = make(available)
    syncs.clear()
    _cuda.build.cache_clear()
    try:
        yield module
    finally:
        _cuda.build.cache_clear()
        syncs.clear()
        sys.modules.pop("cupy")
        if before is not None:
            sys.modules["cupy"] = before
