"""Figures on files: whole or not at all, and a clear word without matplotlib."""

import sys

import pytest

from minidl import pictures
from minidl.errors import FileError, MinidlError


@pytest.mark.parametrize("name, start", [("a.png", b"\x89PNG"), ("b.SVG", b"<?xml")])
def test_a_figure_is_written(tmp_path, name, start):
    pytest.importorskip("matplotlib", reason="pictures need minidl[plot]")
    figure = pictures.new_figure(3, 2)
    figure.subplots().plot([1, 2], [3, 4])
    path = pictures.save(figure, tmp_path / "new" / name)
    assert path.read_bytes().startswith(start)
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need minidl[plot]")
    figure = pictures.new_figure()
    with pytest.raises(MinidlError, match="must end in .png or .svg; got a.jpg"):
        pictures.save(figure, tmp_path / "a.jpg")
    (tmp_path / "in the way").write_text("")
    with pytest.raises(FileError):
        pictures.save(figure, tmp_path / "in the way" / "a.png")


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MinidlError, match=r"pip install 'minidl\[plot\]'"):
        pictures.new_figure()
