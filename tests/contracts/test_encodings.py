"""Texts are read and written as UTF-8 wherever the service runs: the locale's encoding is another one on some hosts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("service", "converters", "bench", "demo", "docker", "docs", "models")


def without_encoding(source: str) -> Iterator[str]:
    """Every call that opens a text in the encoding of the locale."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not any(word.arg in ("encoding", None) for word in node.keywords):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if (name, len(node.args)) in (("read_text", 0), ("write_text", 1)) or (name == "open" and _of_text(node)):
                yield f"line {node.lineno}: {ast.unparse(node)[:80]}"


def _of_text(call: ast.Call) -> bool:
    """`open(path, mode)` or `path.open(mode)` without b; other functions of that name take no mode."""
    texts = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    modes = [text for text in texts if set(text) <= set("rwaxt+b")]
    plain = isinstance(call.func, ast.Name) or not call.args
    return all("b" not in mode for mode in modes) and (bool(modes) or (plain and not call.keywords))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_names_its_encoding(folder: str) -> None:
    found = {
        str(path.relative_to(ROOT)): calls
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (calls := list(without_encoding(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def test_the_check_sees_what_it_is_for() -> None:
    bad = ("p.read_text()", "p.write_text(t)", "open(p)", "p.open()", "p.open('w')", "open(p, 'a')")
    good = ("p.read_text(encoding='utf-8')", "p.open('rb')", "open(p, 'rb')", "Image.open(file)", "self.open(a, b)")
    assert [text for text in (*bad, *good) if list(without_encoding(text))] == list(bad)
