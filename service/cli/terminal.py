"""What is printed never steers the terminal: names and messages come from scanners, archives and strangers."""

from typing import Any

from rich.console import Console
from rich.text import Text

_STEERING = (*range(0x20), 0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""C0 and C1 controls (escape sequences begin with one), and what turns the direction of writing."""

_PLAIN = {code: "\N{REPLACEMENT CHARACTER}" for code in _STEERING if chr(code) not in "\n\t"}


class Terminal(Console):
    """Prints as rich's console does, with a replacement for every character that would steer the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(text.translate(_PLAIN), **options)
