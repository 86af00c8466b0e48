"""`python -m tests.inbound [NAME ...]`: analyse all inbound cases, or those named; exit code 1 if one is wrong."""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from tests.inbound.cases import RIGHT, builder  # noqa: E402
from tests.inbound.page import PAGE, text  # noqa: E402
from tests.inbound.run import rows  # noqa: E402


def main(wanted: list[str]) -> int:
    """Prints the table of case, right and got; all cases together are written as a page of the documentation."""
    table = Table("case", "right", "got", "")
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for row in rows(wanted or list(builder().CASES), Path(folder)):
            found.append(row)
            print(f"{row.name}: {row.got}", file=sys.stderr, flush=True)
    for row in found:
        right = RIGHT[row.name].words() if row.name in RIGHT else "not written down in tests/inbound/cases.py"
        table.add_row(row.name, right, row.got, "right" if row.right else "WRONG")
    Console(width=160).print(table)
    if not wanted and all(row.name in RIGHT for row in found):
        PAGE.write_text(text(found), encoding="utf-8")
    return 0 if all(row.right for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
