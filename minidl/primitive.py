"""Primitives: functions on arrays that know how to differentiate themselves.

A primitive has one vjp row (vector-Jacobian product) per array argument. A vjp is
written in primitives on Tensors, so that derivatives can be differentiated again.
"""

import numpy as np

from . import checks
from .errors import ArgumentError, MinidlError
from .modes import mode
from .tensor import Node, Tensor

REGISTRY: dict[str, "Primitive"] = {}


class Primitive:
    """A differentiable operation: ``forward`` on arrays, ``vjps`` on Tensors.

    Called with Tensors (and numbers, raw arrays, None) for its arrays; options follow
    by name or position. A vjp is called as ``vjp(g, y, *inputs, **options)``; of what
    it names with a leading underscore it reads the shape only; no memory is kept.
    """

    casts = False  # whether the output's float type may differ from the inputs'

    def __init__(self, forward, samples, linear, broadcasts, errors):
        code, n = forward.__code__, forward.__code__.co_argcount
        self.name, self.forward, self.__doc__ = code.co_name, forward, forward.__doc__
        self.samples, self.errors = samples, errors
        self.linear, self.broadcasts = linear, broadcasts
        self.variadic = bool(code.co_flags & 4)
        self.arity = None if self.variadic else n
        self.arrays = code.co_varnames[:n]
        self.optional = self.arrays[n - len(forward.__defaults__ or ()) :]
        self.options = code.co_varnames[n : n + code.co_kwonlyargcount]
        self.defaults = forward.__kwdefaults__ or {}
        self.vjps, self._unread = (), {}

    def __repr__(self):
        return f"<primitive {self.name}>"

    def __get__(self, instance, owner=None):
        return self if instance is None else lambda *a, **k: self(instance, *a, **k)

    def defvjp(self, *vjps):
        """One vjp per array argument, None where the derivative is zero.

        A variadic primitive has one vjp for all, called with the argument number first.
        """
        if len(vjps) != (self.arity or 1):
            raise ArgumentError(f"{self.name}: defvjp takes {self.arity or 1} vjps, "
                                f"None where the derivative is zero; got {len(vjps)}")
        self.vjps, self._unread = vjps, {}

    def unread(self, tracked: int, count: int) -> tuple[list[int], bool]:
        """Which of ``count`` inputs backward will not read, and whether it reads y.

        Bit i of ``tracked`` says whether input i wants a gradient: what only the vjps
        of the others read is not kept in memory.
        """
        rows = [f.__code__.co_varnames for i, f in enumerate(self.vjps)
                if f and (self.variadic or tracked >> i & 1)]
        if self.variadic:  # (i, g, y, *xs, ...): xs comes after the keywords
            xs = rows[0][3 + self.vjps[0].__code__.co_kwonlyargcount]
            rows = [(*rows[0][1:3], *[xs] * count)]
        read = set()  # 0 is the output, 1 the first input
        for row in rows:
            read |= {i for i, name in enumerate(row[1:]) if not name.startswith("_")}
        return [i for i in range(count) if i + 1 not in read], 0 in read

    def __call__(self, *args, **options):
        if len(args) != self.arity or len(options) != len(self.options):
            args, options = checks.bind(self, args, options)
        arrays, dtype, kind, tracked, mixed = [], None, None, 0, False
        for i, a in enumerate(args):
            if isinstance(a, Tensor):
                x = a.data
                if a.requires_grad:
                    tracked |= 1 << i
            elif a is None or type(a) in (float, int, bool):
                arrays.append(a)
                continue
            else:
                x = checks.constant(self, a)
                number = isinstance(x, float | int)
                kept = x if number else Tensor(x)  # what the vjps are to see
                args = tuple(kept if b is a else b for b in args)
                if number:
                    arrays.append(x)
                    continue
            arrays.append(x)
            if x.dtype is not dtype or type(x) is not kind:
                mixed = mixed or dtype is not None
                dtype, kind = x.dtype, type(x)
        if mixed:
            dtype = checks.agree(self, arrays)
        try:
            y = self.forward(*arrays, **options)
        except MinidlError:
            raise
        except (TypeError, ValueError, IndexError, KeyError) as error:
            checks.explain(self, error, arrays, options)
        if isinstance(y, np.generic):  # what NumPy makes of 0-d arrays
            y = np.asarray(y)
        if y.dtype is not dtype:
            checks.check_kept_dtype(self, y, dtype)
        record, watchers = mode.get()
        for watcher in watchers:
            watcher(self, arrays, options, y)
        if not (tracked and record and self.vjps and y.dtype.kind == "f"):
            return Tensor(y)
        key = tracked | 1 << len(args)  # the leading bit tells how many
        if key not in self._unread:
            self._unread[key] = self.unread(tracked, len(args))
        unread, keeps_output = self._unread[key]
        inputs = list(args)
        for i in unread:
            a = args[i]
            if isinstance(a, Tensor) and (a.node is not None or not a.requires_grad):
                inputs[i] = a.spec()
        return Tensor(y, True, Node(self, inputs, options, y if keeps_output else None))

    def backward(self, node, g, wanted):
        """Gradients of the inputs for which ``wanted(x)``, None for the others."""
        inputs, options = node.inputs, node.options
        y = None if node.output is None else Tensor(node.output, True, node)
        if self.variadic:
            return [self.vjps[0](i, g, y, *inputs, **options) if wanted(x) else None
                    for i, x in enumerate(inputs)]
        return [vjp(g, y, *inputs, **options) if vjp and wanted(x) else None
                for vjp, x in zip(self.vjps, inputs)]


def primitive(*, samples, linear=False, broadcasts=False, errors=lambda r: []):
    """Register a function on arrays as a `Primitive`.

    ``samples(r)`` lists calls `S` that the generated tests run, ``errors(r)`` calls `E`
    that must be refused; ``linear``: the op is linear in each array argument;
    ``broadcasts``: its gradients are to be summed over broadcast axes.
    """

    def register(forward):
        op = Primitive(forward, samples, linear, broadcasts, errors)
        if not callable(samples) or op.name in REGISTRY:
            raise ArgumentError(f"{op.name}: a primitive needs samples and a new name")
        return REGISTRY.setdefault(op.name, op)

    return register
