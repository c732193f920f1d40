"""The house rules, read off the source: floors, imports, sizes, a light start."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "minidl"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]

# Modules and packages of minidl, lowest floor first; each imports from lower ones only.
FLOORS = """
    errors samples
    backend files random threads
    checks kernels pictures tensor storage
    modes
    primitive
    autograd
    interchange recompute
    ops
    functional
    operators testing
    nn data
    optim zoo
    papers
    models
    train
    console predict warmup
    __init__
    bench experiments knocks
    cli
    __main__
"""
FLOOR = {name: i for i, row in enumerate(FLOORS.strip().split("\n"))
         for name in row.split()}
# What a command imports only when it is called, so that `minidl --help` is quick.
LAZY = {
    "cli": "bench console data knocks models nn predict storage train warmup",
    "experiments": "experiments train",
    "knocks": "knocks",
}
CORE = "errors backend tensor modes primitive autograd".split()
HEAVY = "numba cupy rich matplotlib torch safetensors urllib.request".split()


def module_of(path):
    """A file's dotted name, packages without ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def unit(module):
    """The part of minidl that stands on a floor: a module or a package below it."""
    return module.split(".")[1] if "." in module else "__init__"


def statements(path):
    """(import statement, whether it stands inside a function) of a file."""
    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child, inside
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from walk(child, inside or function)

    return walk(ast.parse(path.read_text()), False)


def targets(path, node):
    """The dotted names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = path.relative_to(ROOT).parts[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *base.split(".")])
        base = base.rstrip(".")
    inner = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else base for name in inner]


def own_imports(path):
    """(line, module of minidl, whether inside a function), one for each import."""
    for node, inside in statements(path):
        for target in targets(path, node):
            if target.split(".")[0] == "minidl":
                yield node.lineno, target, inside


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_down(name):
    path = ROOT / name
    here = unit(module_of(path))
    assert here in FLOOR, f"{name}: put {here!r} into the table FLOORS of this test"
    for line, target, _ in own_imports(path):
        there = unit(target)
        assert there in FLOOR, f"{name}:{line}: put {there!r} into the table FLOORS"
        if there != here:
            assert FLOOR[there] < FLOOR[here], (
                f"{name}:{line}: {here} (floor {FLOOR[here]}) must not import {there} "
                f"(floor {FLOOR[there]})"
            )


def test_modules_import_each_other_in_no_circle():
    imports = {
        module: {t for _, t, inside in own_imports(path) if not inside and t != module}
        for module, path in MODULES.items() if path.name != "__init__.py"
    }
    while imports:
        free = {module for module, used in imports.items() if not used & imports.keys()}
        assert free, f"these import each other in a circle: {sorted(imports)}"
        imports = {m: used for m, used in imports.items() if m not in free}


@pytest.mark.parametrize("name", NAMES)
def test_imports_inside_functions_are_no_way_around_the_floors(name):
    here = unit(module_of(ROOT / name))
    for line, target, inside in own_imports(ROOT / name):
        allowed = not inside or unit(target) in LAZY.get(here, "").split()
        assert allowed, f"{name}:{line}: import {target} at the top of the file"


@pytest.mark.parametrize("name", NAMES)
def test_only_the_backend_imports_cupy(name):
    for node, _ in statements(ROOT / name):
        for target in targets(ROOT / name, node):
            alien = target.split(".")[0] not in ("cupy", "cupyx")
            assert alien or name == "minidl/backend.py", (
                f"{name}:{node.lineno}: only backend.py may import {target}")


@pytest.mark.parametrize("name", NAMES)
def test_files_stay_short(name):
    lines = (ROOT / name).read_text().count("\n")
    assert lines <= 400, f"{name}: has {lines} lines; split it by what it does"


def code_lines(text):
    """How many lines hold code: not blank, comment or docstring."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            docstrings.update(range(body[0].lineno, body[0].end_lineno + 1))
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
               tokenize.DEDENT, tokenize.ENDMARKER)
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_lines_of_code_are_counted():
    text = '"""Doc\nstring."""\n\n# comment\nx = """a\nb"""  # two\n\n\n'
    text += 'def f():\n    """One."""\n    return (1,\n            2)\n'
    assert code_lines(text) == 5


def test_the_engine_is_read_in_one_sitting():
    texts = {name: (SOURCE / f"{name}.py").read_text() for name in CORE}
    counts = {name: code_lines(text) for name, text in texts.items()}
    total, raw = sum(counts.values()), sum(text.count("\n") for text in texts.values())
    print(f"engine core: {total} lines of code, {raw} lines in all; {counts}")
    assert total <= 500, counts


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True,
                            capture_output=True, check=True)
    return set(result.stdout.split())


def test_importing_minidl_is_light():
    loaded = loaded_by("import minidl")
    assert "minidl.autograd" in loaded and not loaded & set(HEAVY)


def test_computing_on_the_cpu_loads_what_it_needs_only():
    loaded = loaded_by("import minidl; x = minidl.tensor([1.0], requires_grad=True); "
                       "(x * x).sum().backward()")
    assert not loaded & set(HEAVY)
