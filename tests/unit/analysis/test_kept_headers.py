"""Headers are read once where they are few, and again where they are many."""

import pytest
from helpers import make_ct

from service.analysis import kept_headers
from service.analysis.kept_headers import KeptHeaders
from service.domain.dicom_file import memory_bytes
from service.errors import Reason, Rejected
from service.store.dicom_folder import SeriesFiles, headers, scan


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[SeriesFiles]:
    folder = tmp_path_factory.mktemp("series")
    for name in ("1.2.1", "1.2.2", "1.2.3"):
        made = make_ct.make(slices=4, rows=16, columns=16, pixel_mm=(20.0, 20.0), lungs=False)
        for dataset in made.datasets:
            dataset.SeriesInstanceUID = name
        make_ct.write(made.datasets, folder / name)
    return scan([folder])


def test_what_fits_is_read_once(series: list[SeriesFiles], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_headers, "MOST_KEPT_BYTES", 2.5 * sum(map(memory_bytes, headers(series[0]))))
    kept, reads = KeptHeaders(), list[None]()
    found = {one.series_uid: kept.of(one, lambda: reads.append(None)) for one in series}
    assert len(reads) == 12
    for one, times in zip(series, (0, 0, 4), strict=True):
        reads.clear()
        again = kept.of(one, lambda: reads.append(None))
        assert len(reads) == times, "only the third had no room"
        assert [str(h.SOPInstanceUID) for h in again] == [str(h.SOPInstanceUID) for h in found[one.series_uid]]
        assert all("PixelData" not in header for header in again)


def test_a_series_that_is_read_again_counts_once(series: list[SeriesFiles], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_headers, "MOST_KEPT_BYTES", 0)
    monkeypatch.setattr(kept_headers, "MOST_HEADERS_BYTES", 1.5 * memory_bytes(headers(series[0])[0]))
    kept = KeptHeaders()
    for _ in range(3):
        assert len(kept.of(series[0], lambda: None)) == 4


def test_first_headers_that_take_too_much_together_refuse_their_series(
    series: list[SeriesFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = memory_bytes(headers(series[0])[0])
    monkeypatch.setattr(kept_headers, "MOST_HEADERS_BYTES", 2.5 * one)
    kept = KeptHeaders()
    for files in series[:2]:
        kept.of(files, lambda: None)
    with pytest.raises(Rejected) as rejected:
        kept.of(series[2], lambda: None)
    assert [refusal.reason for refusal in rejected.value.refusals] == [Reason.TOO_LARGE]
    assert list(kept.first) == [files.series_uid for files in series[:2]]
