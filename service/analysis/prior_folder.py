"""The results of one earlier analysis in a folder, as `thoracle analyse` leaves them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from service.analysis.prior_files import RESULT
from service.analysis.priors import PriorFiles, Wanted


@dataclass(frozen=True, slots=True)
class PriorFolder:
    """Results in `folder`, or of several pipelines in one folder each below it."""

    folder: Path

    def candidates(self, wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        """The result of the pipeline, whoever's it is."""
        for folder in (self.folder / wanted.pipeline.name, self.folder):
            if (folder / RESULT).is_file():
                yield nullcontext(PriorFiles({path.name: path for path in sorted(folder.iterdir()) if path.is_file()}))
                return
