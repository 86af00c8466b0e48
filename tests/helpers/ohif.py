"""OHIF, a viewer that radiologists use, in a headless Chromium on a real PACS.

Its files come from the npm package and lie in build/ohif; the browser gets them from there, and DICOMweb from Orthanc
under the same address.
"""

import json
import mimetypes
import os
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from helpers.dicom_peers import Orthanc, require

VERSION = "3.13.2"
BUILD = Path(__file__).parents[2] / "build"
PICTURES = BUILD / "pictures"
_WAIT_MS = 90_000
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)
_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "dicomweb",
    "configuration": {
        "friendlyName": "test",
        "name": "test",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    },
}
_CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "maxNumberOfWebWorkers": 1,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [_SOURCE],
}
_SHOWN = """() => {
  const {segmentationService, viewportGridService} = window.services;
  const viewport = viewportGridService.getActiveViewportId();
  const [shown] = segmentationService.getSegmentations();
  const colour = index => segmentationService.getSegmentColor(viewport, shown.segmentationId, index);
  const voxels = {};
  for (const id of shown.representationData.Labelmap.imageIds)
    for (const value of window.cornerstone.cache.getImage(id).voxelManager.getScalarData())
      voxels[value] = (voxels[value] || 0) + 1;
  const segments = Object.values(shown.segments).filter(one => one);
  return segments.map(one => ({
    number: one.segmentIndex, label: one.label, rgb: Array.from(colour(one.segmentIndex)).slice(0, 3),
    voxels: voxels[one.segmentIndex] || 0,
  }));
}"""
_SEG_IS_THERE = """() => window.services && window.services.displaySetService
  && window.services.displaySetService.getActiveDisplaySets().some(one => one.Modality === 'SEG')"""
_SEG_IS_SHOWN = "() => window.services.segmentationService.getSegmentations().length > 0"


_GO_TO_SLICE = """imageIndex => {
  const {cornerstoneViewportService, viewportGridService} = window.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  return window.cornerstone.utilities.jumpToSlice(viewport.element, {imageIndex});
}"""


ON_PAGE = """positions => {
  const {cornerstoneViewportService, viewportGridService} = window.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  const {x, y} = viewport.canvas.getBoundingClientRect();
  return positions.map(position => viewport.worldToCanvas(position)).map(([i, j]) => [x + i, y + j]);
}"""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment as the viewer shows it. rgb: 0-255; voxels: that have its number."""

    number: int
    label: str
    rgb: tuple[int, int, int]
    voxels: int


def dist() -> Path:
    """The viewer's files, fetched once. Not to be had: skip with the reason; in CI: fail."""
    folder = BUILD / f"ohif-{VERSION}"
    if folder.exists():
        return folder / "package" / "dist"
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as parts:
        command = [require("npm"), "pack", "--silent", f"@ohif/app@{VERSION}", "--pack-destination", parts]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            _missing(f"npm cannot fetch OHIF: {done.stderr.strip()[-300:]}")
        (archive,) = Path(parts).glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(Path(parts) / "all", filter="data")
        with suppress(OSError):  # another test process was quicker
            (Path(parts) / "all").rename(folder)
    return folder / "package" / "dist"


def store(pacs: Orthanc, *files: bytes) -> None:
    """Upload DICOM files."""
    for content in files:
        urllib.request.urlopen(urllib.request.Request(f"{pacs.url}/instances", content, method="POST")).read()


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium of the system, which asks nobody but this machine."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=require("chromium"), args=_FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def study(chromium: Any, pacs: Orthanc, study_uid: str) -> Iterator[Any]:
    """The viewer's page with a study, of which the list of series is there."""
    with chromium.new_context(viewport={"width": 1400, "height": 900}) as context:
        context.set_default_timeout(_WAIT_MS)
        context.route("**/*", lambda route: _serve(route, pacs))
        page = context.new_page()
        page.goto(f"{pacs.url}/viewer?StudyInstanceUIDs={study_uid}")
        page.wait_for_function(_SEG_IS_THERE)
        page.get_by_text("Skip all").click()
        yield page


def segments(page: Any, series: str, slice_number: int, picture: str) -> list[Segment]:
    """Load the SEG whose description begins with `series`; what is shown, with a picture of one slice, from 0."""
    _series(page, series).dblclick()
    page.get_by_text("Yes", exact=True).click()
    page.wait_for_function(_SEG_IS_SHOWN)
    shown = page.evaluate(_SHOWN)
    page.evaluate(_GO_TO_SLICE, slice_number)
    page.wait_for_timeout(1000)
    keep_picture(page, picture)
    return [Segment(one["number"], one["label"], tuple(one["rgb"]), one["voxels"]) for one in shown]


def drawn(page: Any, positions_mm: Sequence[Sequence[float]], picture: str) -> list[tuple[int, ...]]:
    """RGB in a kept picture where positions (LPS mm) of the slice that is shown lie."""
    with Image.open(PICTURES / picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    return [tuple(map(int, pixels[round(y), round(x)])) for x, y in page.evaluate(ON_PAGE, positions_mm)]


def document(page: Any, series: str, expected: str, picture: str) -> str:
    """Open the document whose description begins with `series`; all text of the page once it holds `expected`."""
    _series(page, series).dblclick()
    page.get_by_text(expected).first.wait_for()
    keep_picture(page, picture)
    return str(page.locator("body").inner_text())


def _series(page: Any, description: str) -> Any:
    return page.locator('[data-cy="study-browser-thumbnail-no-image"]', has_text=description)


def _serve(route: Any, pacs: Orthanc) -> None:
    url = route.request.url
    path = url.removeprefix(pacs.url).split("?")[0].lstrip("/")
    if not url.startswith(pacs.url):
        route.abort()
    elif path.startswith("dicom-web"):
        route.continue_()
    elif path == "app-config.js":
        route.fulfill(body=f"window.config = {json.dumps(_CONFIG)}", content_type="text/javascript")
    else:
        file = dist() / path
        file = file if file.is_file() else dist() / "index.html"
        route.fulfill(path=file, content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream")


def keep_picture(page: Any, name: str) -> None:
    """A screenshot in build/pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / name)
    print(f"picture: {PICTURES / name}")


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
