"""`python -m bench`: measure, print a table, write results.json. Missed targets are named; the exit code stays 0."""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    ROOT,
    analyse,
    burden,
    cluster,
    density,
    gtv,
    image,
    load,
    lungmask,
    providers,
    receive,
    service,
    stages,
    steady,
    thin,
    triton,
)
from bench.figures import Figure
from bench.machine import describe
from bench.results import read_runs, without_parts, write_runs
from service.inference.files import read_digests
from service.settings import load as load_settings

PARTS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    receive.PART: receive.measure,
    load.PART: load.measure,
    analyse.PART: analyse.measure,
    burden.PART: burden.measure,
    density.PART: density.measure,
    gtv.PART: gtv.measure,
    service.PART: service.measure,
    thin.PART: thin.measure,
    stages.SEG_PART: stages.measure_seg,  # before what else would load code tables
    stages.PART: stages.measure,
    providers.PART: providers.measure,
    cluster.PART: cluster.measure,
    triton.PART: triton.measure,
    image.PART: image.measure,
    lungmask.PART: lungmask.measure,  # loads torch
    steady.PART: steady.measure,
}

_LONG = (steady.PART,)
"""Measured only when they are named."""

console = Console(highlight=False)


def main() -> None:
    options = _options()
    (ROOT / "build").mkdir(exist_ok=True)
    # Beside the project, not in /tmp: there a disk may be memory, and durable writing would cost nothing.
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        work = Path(folder)
        machine = describe(work)
        console.print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average_before'][0]}")
        figures: list[Figure] = []
        load_after: dict[str, float] = {}
        earlier = read_runs(options.out)
        for part in (part for part in PARTS if part in options.only):
            figures += _measured(part, work, options.repeat)
            load_after[part] = round(os.getloadavg()[0], 2)
            run = {
                "machine": machine | {"load_average_after": load_after},
                "models": read_digests(load_settings(None).inference.repository),
                "repeat": options.repeat,
                "figures": [figure.document() for figure in figures],
            }
            # After every part: it takes the better part of an hour, and who interrupts it keeps what was measured.
            write_runs(options.out, (*without_parts(earlier, {figure.part for figure in figures}), run))
    _tell(figures)
    console.print(f"written: {options.out}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    usual = [part for part in PARTS if part not in _LONG]
    only = f"parts to measure (default: all but {', '.join(_LONG)})"
    parser.add_argument("--only", nargs="+", choices=PARTS, default=usual, help=only)
    parser.add_argument("--repeat", type=int, default=3, help="how often to measure each (default: 3)")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "bench" / "results.json",
        help="file for the results; of parts that are not measured it keeps what it holds",
    )
    return parser.parse_args()


def _measured(part: str, work: Path, repeat: int) -> Iterator[Figure]:
    for figure in PARTS[part](work, repeat):
        console.print(f"  {figure.part}: {figure.name}: {figure.median:.3g} {figure.unit}", style="dim")
        yield figure


def _tell(figures: Sequence[Figure]) -> None:
    table = Table("part", "what", "median", "best", "unit", "target", "", title="Speed and memory")
    verdicts = {None: "", True: "[green]met[/]", False: "[bold red]MISSED[/]"}
    for one in figures:
        target = str(one.target or "")
        table.add_row(one.part, one.name, f"{one.median:.3g}", f"{one.best:.3g}", one.unit, target, verdicts[one.met])
    console.print(table)
    for note in dict.fromkeys(one.note for one in figures if one.note and one.target):
        console.print(f"note: {note}")
    missed = [one for one in figures if one.met is False]
    for one in missed:
        console.print(
            f"[bold red]TARGET MISSED[/] {one.part}, {one.name}: {one.median:.3g} {one.unit}, target {one.target}"
        )
    if not missed:
        console.print("[bold green]All targets that were measured are met.[/]")


if __name__ == "__main__":
    main()
