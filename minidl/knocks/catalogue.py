"""The knocks that there are, as the headers of their solutions describe them.

A solution's docstring begins::

    k021: Convolution by loops

    ** | 15 minutes | after k011, k012
"""

import ast
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from ..errors import MinidlError, UnknownNameError, unknown_name

STEM = re.compile(r"(k\d{3})_[a-z0-9_]+")
_LEVEL = re.compile(
    r"(\*{1,5}) \| (\d+) minutes \| after (nothing|k\d{3}(?:, k\d{3})*)"
)


class KnockError(MinidlError, LookupError):
    """A knock, or one of its files, is missing or malformed."""


MARK = "# answer"  # what follows it in a function's body is for the learner to write


@dataclass(frozen=True)
class Entry:
    """One knock: where its files are and what its header says."""

    root: Path
    track: str  # "c_convolution"
    stem: str  # "k021_loop_conv"

    @property
    def name(self) -> str:
        """The knock's stable name, "k021"."""
        return self.stem[:4]

    @property
    def solution(self) -> Path:
        return self.root / "solutions" / self.track / f"{self.stem}.py"

    @property
    def exercise(self) -> Path:
        return self.root / "exercises" / self.track / f"{self.stem}.py"

    @property
    def grader(self) -> Path:
        return self.root / "tests" / "knocks" / self.track / f"test_{self.stem}.py"

    @cached_property
    def text(self) -> str:
        """The solution's source."""
        return read(self.solution)

    @cached_property
    def about(self) -> str:
        """The solution's docstring: the task, its equation and its source."""
        try:
            return ast.get_docstring(ast.parse(self.text)) or ""
        except SyntaxError as error:
            raise KnockError(f"{self.solution}: {error}") from error

    @property
    def title(self) -> str:
        head, _, title = self.about.split("\n", 1)[0].partition(": ")
        if head != self.name or not title:
            raise KnockError(
                f"{self.solution}: the docstring must begin '{self.name}: Title'"
            )
        return title

    @cached_property
    def _level(self):
        found = _LEVEL.search(self.about)
        if found is None:
            raise KnockError(
                f"{self.solution}: the docstring must have a line such as "
                "'** | 15 minutes | after k011, k012'"
            )
        return found

    @property
    def stars(self) -> int:
        """How hard it is, 1 to 5."""
        return len(self._level[1])

    @property
    def minutes(self) -> int:
        return int(self._level[2])

    @property
    def needs(self) -> tuple[str, ...]:
        """The knocks whose ideas it builds on."""
        return tuple(re.findall(r"k\d{3}", self._level[3]))


def read(path: Path) -> str:
    """A source file's text. Raises: KnockError if there is none, or it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise KnockError(f"cannot read {path}: {reason}") from error


def is_root(folder: Path) -> bool:
    """Whether the knocks live in ``folder``."""
    parts = "solutions", "exercises", "tests/knocks"
    return all((folder / part).is_dir() for part in parts)


def root_of(start: Path | None = None) -> Path:
    """The folder with the knocks: at or above ``start``, or beside this package.

    Raises: KnockError if there is none.
    """
    start = (start or Path.cwd()).resolve()
    package = Path(__file__).resolve().parents[2]
    for folder in (start, *start.parents, package):
        if is_root(folder):
            return folder
    raise KnockError(
        f"no knocks at or above {start}: they are not part of the installed package; "
        "go to a clone of the repository (it has exercises/ and solutions/)"
    )


def entry_of(path: Path) -> Entry | None:
    """The knock that a file belongs to, be it exercise, solution or grader."""
    stem = path.stem.removeprefix("test_")
    if path.suffix != ".py" or not STEM.fullmatch(stem) or path.parent.name == "drill":
        return None
    deep = 3 if path.stem.startswith("test_") else 2
    root = path.resolve().parents[deep] if len(path.resolve().parents) > deep else None
    if root is None or not is_root(root):
        return None
    return Entry(root, path.parent.name, stem)


def all_knocks(root: Path | None = None) -> list[Entry]:
    """Every knock, in the order of its number."""
    root = root or root_of()
    files = (root / "solutions").glob("*/k*.py")
    found = [
        Entry(root, f.parent.name, f.stem) for f in files if STEM.fullmatch(f.stem)
    ]
    found.sort(key=lambda entry: entry.stem)
    return found


def find(name: str, root: Path | None = None) -> Entry:
    """The knock that is called ``name``: "k021", "21" or "k021_loop_conv".

    Raises: UnknownNameError, with the nearest names.
    """
    text = name.strip().lower().rsplit("/", 1)[-1].removesuffix(".py")
    text = text.removeprefix("test_")
    wanted = f"k{int(text):03d}" if text.isdecimal() else text
    entries = all_knocks(root)
    for entry in entries:
        if wanted in (entry.name, entry.stem):
            return entry
    names = [n for e in entries for n in (e.name, e.stem)]
    if not get_close_matches(name, names, cutoff=0.5):  # too many to name them all
        raise UnknownNameError(
            f"knock: no knock is named {name!r}; 'minidl list' shows them all"
        )
    raise unknown_name("knock", name, names)
