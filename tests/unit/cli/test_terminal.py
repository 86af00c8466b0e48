"""Nobody steers an operator's terminal by a name or a message."""

from io import StringIO
from pathlib import Path

import pytest
from rich.markup import escape
from rich.table import Table

from service.cli import terminal
from service.cli.terminal import Terminal

EVIL = "CT\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\x00\u202e\u2066ä\t1"
PLAIN = "CT\ufffd]0;owned\ufffd\ufffd[2J\ufffd31m\ufffd\ufffd\ufffd\ufffd\ufffdä"


@pytest.mark.parametrize("colours", [True, False])
def test_controls_are_replaced_in_lines_and_tables(colours: bool) -> None:
    file = StringIO()
    shown = Terminal(file=file, width=200, highlight=False, force_terminal=colours, color_system=None)
    shown.print(f"[red]rejected[/] {escape(EVIL)}")
    table = Table("who")
    table.add_row(EVIL)
    shown.print(table)
    assert file.getvalue().count(PLAIN) == 2
    assert "\x1b]" not in file.getvalue() and "\x1b[2J" not in file.getvalue()
    assert shown.render_str("a\nb").plain == "a\nb"


def test_every_command_prints_so() -> None:
    modules = Path(terminal.__file__).parent.glob("*.py")
    others = [one.name for one in modules if "import Console" in one.read_text() and one.name != "terminal.py"]
    assert others == []
