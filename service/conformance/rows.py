"""Tables of the statement. Each row has a name, by which a test says that it tries it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """key: unique in its table. cells: Markdown."""

    key: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """name: unique in the statement."""

    name: str
    head: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the rows in the statement."""
        return tuple(f"{self.name}/{row.key}" for row in self.rows)

    @property
    def markdown(self) -> str:
        lines = [self.head, tuple("---" for _ in self.head), *(row.cells for row in self.rows)]
        return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Section:
    """parts: paragraphs (Markdown, headings of the third level too) and tables, in their order."""

    title: str
    parts: Sequence[str | Table]

    @property
    def tables(self) -> list[Table]:
        return [part for part in self.parts if isinstance(part, Table)]

    @property
    def markdown(self) -> str:
        paragraphs = [part if isinstance(part, str) else part.markdown for part in self.parts]
        return "\n\n".join([f"## {self.title}", *paragraphs])


def table(name: str, head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table of rows that each begin with their key; ValueError if one has not as many cells as the head."""
    made = tuple(Row(key, cells) for key, *rest in rows for cells in [tuple(rest)])
    if wrong := [row.key for row in made if len(row.cells) != len(head)]:
        raise ValueError(f"rows of {name} with other cells than {', '.join(head)}: {', '.join(wrong)}")
    if len({row.key for row in made}) < len(made):
        raise ValueError(f"{name} has two rows of one key")
    return Table(name, tuple(head), made)


def _cell(text: str) -> str:
    """What stands in one cell: a | in it would begin another one."""
    return text.replace("|", "\\|").replace("\n", " ")
