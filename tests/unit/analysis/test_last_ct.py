"""One CT is kept for the next pipeline, with its own flags of the gate for each."""

import gc
import weakref
from collections.abc import Callable

import pytest
from helpers import make_ct

from service.analysis.last_ct import LastCt
from service.domain.ct import CT
from service.domain.flags import AGE_UNKNOWN, PADDING_MASKED, THICK_SLICES
from service.errors import Reason, Refusal, Rejected
from service.imaging.read import read_ct

DATASETS = make_ct.make(slices=3, rows=16, columns=16, pixel_mm=(20.0, 20.0), lungs=False).datasets


class Disk:
    """Reads a CT, and counts how often. held: CTs in memory while another is read."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.held: list[int] = []
        self._volumes: list[weakref.ref[object]] = []

    def reader(self, name: str) -> Callable[[], CT]:
        def read() -> CT:
            gc.collect()
            self.reads.append(name)
            self.held.append(len([volume for volume in self._volumes if volume() is not None]))
            ct = read_ct(DATASETS)
            self._volumes.append(weakref.ref(ct.volume))
            return ct

        return read


def test_the_same_series_is_read_once_and_what_was_found_is_remembered() -> None:
    disk, last = Disk(), LastCt(keeps=True)
    for _ in range(2):
        found = last.get("a", (), disk.reader("a")).remembered("lungs", lambda: object())
    assert disk.reads == ["a"]
    assert found is last.get("a", (), disk.reader("a")).remembered("lungs", lambda: object())


def test_it_is_let_go_before_another_one_is_read() -> None:
    disk, last = Disk(), LastCt(keeps=True)
    for name in ("a", "b", "a"):
        last.get(name, (), disk.reader(name))
    assert (disk.reads, disk.held) == (["a", "b", "a"], [0, 0, 0])


def test_a_ct_that_cannot_be_read_is_tried_again_and_leaves_nothing() -> None:
    def refuse() -> CT:
        raise Rejected(Refusal(Reason.CODEC, ""))

    disk, last = Disk(), LastCt(keeps=True)
    last.get("a", (), disk.reader("a"))
    for _ in range(2):
        with pytest.raises(Rejected):
            last.get("b", (), refuse)
    last.get("a", (), disk.reader("a"))
    assert (disk.reads, disk.held) == (["a", "a"], [0, 0])


def test_where_there_is_one_pipeline_nothing_is_kept() -> None:
    disk, last = Disk(), LastCt()
    for _ in range(2):
        last.get("a", (), disk.reader("a"))
    assert (disk.reads, disk.held) == (["a", "a"], [0, 0])


def test_flags_of_the_gate_are_those_of_each_pipeline() -> None:
    """They have limits of their own; what the reader found is true for all."""
    last = LastCt(keeps=True)

    def read() -> CT:
        ct = read_ct(DATASETS)
        return CT(ct.headers, ct.volume, (PADDING_MASKED,))

    assert last.get("a", (AGE_UNKNOWN, THICK_SLICES), read).flags == (THICK_SLICES, AGE_UNKNOWN, PADDING_MASKED)
    assert last.get("a", (), read).flags == (PADDING_MASKED,)


def test_for_comparisons_the_ct_is_shared_but_nothing_that_was_found() -> None:
    disk, last = Disk(), LastCt(keeps=True)
    usual = last.get("a", (), disk.reader("a"))
    usual.remembered("lungs", lambda: "found")
    for _ in range(2):
        afresh = last.afresh().get("a", (), disk.reader("a"))
        assert afresh.remembered("lungs", lambda: "found anew") == "found anew"
    assert (disk.reads, usual.remembered("lungs", lambda: "again")) == (["a"], "found")


def test_an_analysed_ct_forgets_what_was_found_unless_another_pipeline_may_ask() -> None:
    kept = {}
    for keeps in (False, True):
        last = LastCt(keeps)
        usual = last.get("a", (), lambda: read_ct(DATASETS))
        afresh = last.afresh().get("a", (), lambda: read_ct(DATASETS))
        for ct in (usual, afresh):
            ct.remembered("lungs", lambda: "found")
        last.afresh().analysed(afresh)
        assert not afresh.memo and usual.memo, "a comparison forgets its own"
        last.analysed(usual)
        kept[keeps] = usual.memo
    assert kept == {False: {}, True: {"lungs": "found"}}
