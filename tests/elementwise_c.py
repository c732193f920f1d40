"""The bodies of elementwise CUDA kernels, interpreted on whole NumPy arrays.

The subset of C: declarations, assignments (``=``, ``+=``, ``-=``, ``*=``, ``/=``),
``if``, ``else`` and expressions with ``? :``, ``&&``, ``||``, ``!`` and functions.
A branch runs for all elements; what it assigns is kept where its condition holds.
"""

import math
import re

import numpy as np

SAME_NAMES = "abs ceil cos exp expm1 floor isinf isnan log log1p rint sin sqrt tan tanh"
FUNCTIONS = {
    "erf": np.vectorize(math.erf, otypes=["float64"]), "pow": np.power,
    "max": np.maximum, "min": np.minimum, "fmax": np.fmax, "fmin": np.fmin,
    "fabs": np.abs, "rsqrt": lambda x: 1 / np.sqrt(x), "where": np.where,
} | {name: getattr(np, name) for name in SAME_NAMES.split()}
TYPES = {"float": "float32", "double": "float64", "int": "int32", "bool": "bool",
         "long long": "int64", "size_t": "uint64", "ptrdiff_t": "int64"}
UPDATES = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide}
ASSIGNMENT = re.compile(r"(?:const )?(?:([A-Za-z][\w ]*?) )?(\w+) ?([-+*/]?)=(?!=)(.+)")


def run(body, names, dtypes, shared=()):
    """Execute ``body`` over ``names`` (arrays by name); return the changed names.

    ``dtypes`` says what type letters such as T stand for; each of ``shared`` is a list
    of names that are the same memory, so that writing to one changes all.

    Raises: NotImplementedError naming the statement that is beyond the subset.
    """
    code = re.sub(r"\s+", " ", re.sub(r"//[^\n]*", "", body)).strip()
    scope = _Scope(names, dtypes, shared)
    scope.block(code if code.endswith((";", "}")) else code + ";", np.bool_(True))
    return scope.changed


class _Scope:
    """The variables of one kernel, as arrays over all its elements."""

    def __init__(self, names, dtypes, shared):
        self.names, self.changed, self.shared = dict(names), {}, shared
        self.dtypes = {kind: np.dtype(name) for kind, name in TYPES.items()} | dtypes
        self.known = FUNCTIONS | {
            kind: lambda value, dtype=dtype: np.asarray(value).astype(dtype)
            for kind, dtype in self.dtypes.items()
        } | {"true": np.bool_(True), "false": np.bool_(False)}

    def block(self, code, mask):
        while code := code.strip():
            code = self.statement(code, mask)

    def statement(self, code, mask):
        """Execute the first statement where ``mask`` holds; return what follows it."""
        code = code.strip()
        if code.startswith("{"):
            end = _closing(code, 0)
            self.block(code[1:end], mask)
            return code[end + 1 :]
        if branch := re.match(r"if ?\(", code):
            end = _closing(code, branch.end() - 1)
            test = self.value(code[branch.end() : end]).astype(bool)
            rest = self.statement(code[end + 1 :], mask & test).strip()
            if not re.match(r"else\b", rest):
                return rest
            return self.statement(rest[4:], mask & ~test)
        statement, _, rest = code.partition(";")
        self.assign(statement.strip(), mask)
        return rest

    def assign(self, statement, mask):
        match = ASSIGNMENT.fullmatch(statement)
        if not match or (match[1] and match[1] not in self.dtypes):
            raise NotImplementedError(f"cannot interpret {statement!r}")
        kind, target, update, expression = match.groups()
        value = self.value(expression)
        if kind:
            self.names[target] = value.astype(self.dtypes[kind])
            return
        if not mask.any():
            return
        old = self.names[target]
        value = UPDATES[update](old, value) if update else value
        value = np.where(mask, value, old).astype(old.dtype)
        for same in next((s for s in self.shared if target in s), [target]):
            self.names[same] = self.changed[same] = value

    def value(self, expression):
        scope = {"__builtins__": {}} | self.known | self.names
        try:
            return np.asarray(eval(translate(expression.strip()), scope))
        except Exception as error:
            raise NotImplementedError(f"cannot interpret {expression!r}") from error


def _closing(code, start):
    """The index of the bracket that closes the one at ``start``."""
    opening, depth = code[start], 0
    closing = {"(": ")", "{": "}"}[opening]
    for i in range(start, len(code)):
        depth += (code[i] == opening) - (code[i] == closing)
        if not depth:
            return i
    raise NotImplementedError(f"unbalanced brackets in {code!r}")


def translate(expression):
    """A C expression as a Python one over arrays."""
    out, depth, start = "", 0, 0
    for i, c in enumerate(expression):  # what is in brackets first, from the inside
        depth += (c == "(") - (c == ")")
        if c == "(" and depth == 1:
            out, start = out + expression[start : i + 1], i + 1
        elif c == ")" and depth == 0:
            out += ", ".join(map(translate, _arguments(expression[start:i])))
            start = i
    return _ternary(out + expression[start:])


def _arguments(text):
    """``text`` split at the commas outside brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _ternary(text):
    depth = nested = 0
    question = None
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "?" and depth == 0:
            question, nested = (i if question is None else question), nested + 1
        elif c == ":" and depth == 0 and (nested := nested - 1) == 0:
            test, yes, no = text[:question], text[question + 1 : i], text[i + 1 :]
            return f"where({_logic(test)}, {_ternary(yes)}, {_ternary(no)})"
    return _logic(text)


def _logic(text):
    for symbol, python in (("||", "|"), ("&&", "&")):
        if symbol in text:
            return f" {python} ".join(f"({_logic(t)})" for t in text.split(symbol))
    text = re.sub(r"!(?!=)", "~", text)
    return re.sub(r"(?<=[\d.])f\b", "", text).strip()
