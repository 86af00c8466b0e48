"""How the files of a study that was given up are removed: all of them, a few at a time, through kills."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.ward import Ward

from service.store.spool import Spool as DiskSpool
from service.store.tables import removals


def test_nothing_is_left_on_the_disk(engine: sa.Engine, tmp_path: Path) -> None:
    ward = Ward(engine, DiskSpool(tmp_path / "data"))
    ward.delivered("1", "2")
    ward.purge()
    assert [p.name for p in (tmp_path / "data").rglob("*")] in (["spool", "results"], ["results", "spool"])


def test_superseded_jobs_go_with_the_study(ward: Ward) -> None:
    first, second = ward.delivered("1"), ward.delivered("2")
    ward.purge()
    assert ward.results_are_gone(first)
    assert ward.results_are_gone(second)


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["remove", "remove_results"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_files_are_removed_leaves_nothing_behind(ward: Ward, step: str, moment: str) -> None:
    job_id = ward.delivered("1", "2")
    ward.give_up()

    class Dying:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(*arguments: str) -> None:
                if name == step and moment == "before":
                    raise Killed
                getattr(ward.spool, name)(*arguments)
                if name == step:
                    raise Killed

            return call

    with pytest.raises(Killed):
        ward.retention.remove("S", Dying())  # type: ignore[arg-type]
    assert ward.retention.to_remove() == ["S"]
    ward.remove()
    assert (ward.files(), ward.retention.to_remove()) == (set(), [])
    assert ward.results_are_gone(job_id)


def test_files_are_removed_a_few_at_a_time(ward: Ward, engine: sa.Engine) -> None:
    ward.delivered(*map(str, range(150)))
    ward.give_up()
    assert ward.retention.remove("S", ward.spool)
    with engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(removals)) == 51
