"""OHIF in a headless Chromium over a real archive: what a radiologist sees of our objects.

The viewer is the npm package's ready build. Its files and the archive's DICOMweb share one origin: the browser's
requests for files are answered from the package, those below /dicom-web go to the archive, all others are refused.
"""

import json
import mimetypes
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from dicom_peers import Orthanc, require
from PIL import Image
from playwright.sync_api import Browser, Page, Route, sync_playwright
from shared_data import tool

VERSION = "3.13.2"
PICTURES = Path(__file__).parents[1] / "build" / "pictures"

_PACKAGE = f"@ohif/app@{VERSION}"
_CACHE = Path(tempfile.gettempdir()) / f"ohif-app-{VERSION}"
_START_MS = 120_000
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "maxNumberOfWebWorkers": 1,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "archive",
                "name": "archive",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}

_HAS_SEG = """() => window.services?.displaySetService?.getActiveDisplaySets().some(one => one.Modality === "SEG")"""
_HYDRATED = "() => window.services.segmentationService.getSegmentations().length > 0"
_SEGMENTATION = """() => {
  const {segmentationService, viewportGridService} = window.services;
  const found = segmentationService.getSegmentations()[0];
  const colour = index => segmentationService.getSegmentColor(
    viewportGridService.getActiveViewportId(), found.segmentationId, index);
  const voxels = {};
  for (const id of found.representationData.Labelmap.imageIds)
    for (const value of window.cornerstone.cache.getImage(id).voxelManager.getScalarData())
      voxels[value] = (voxels[value] || 0) + 1;
  return {
    segments: Object.values(found.segments).filter(Boolean).map(
      one => ({number: one.segmentIndex, label: one.label, rgb: colour(one.segmentIndex).slice(0, 3)})),
    voxels,
  };
}"""
_JUMP = """async index => {
  const {cornerstoneViewportService, viewportGridService} = window.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  await window.cornerstone.utilities.jumpToSlice(viewport.element, {imageIndex: index});
}"""
_ON_PAGE = """positions => {
  const {cornerstoneViewportService, viewportGridService} = window.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  const {x, y} = viewport.canvas.getBoundingClientRect();
  return positions.map(position => viewport.worldToCanvas(position)).map(([i, j]) => [x + i, y + j]);
}"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A Segmentation as the viewer holds it. labels, colours: by segment number; voxels: count by segment number."""

    labels: Mapping[int, str]
    colours: Mapping[int, tuple[int, int, int]]
    voxels: Mapping[int, int]


def package() -> Path:
    """The viewer's files; fetched once. Skips where npm is absent, fails in CI."""
    npm = tool("npm")
    if not _CACHE.exists():
        with tempfile.TemporaryDirectory(dir=_CACHE.parent) as folder:
            subprocess.run([npm, "pack", "--silent", _PACKAGE], cwd=folder, check=True, capture_output=True)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")
            shutil.move(Path(folder) / "package" / "dist", _CACHE)
    return _CACHE


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    program = require("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield running
        running.close()


def _answer(files: Path, archive: Orthanc, route: Route) -> None:
    """Answers one request of the browser."""
    url = route.request.url
    path = url.removeprefix(archive.url).split("?")[0]
    if not url.startswith(archive.url):
        route.abort()
    elif path.startswith("/dicom-web"):
        route.continue_()
    elif path == "/app-config.js":
        route.fulfill(body=f"window.config = {json.dumps(_CONFIG)};", content_type="text/javascript")
    else:
        file = files / path.lstrip("/")
        file = file if file.is_file() else files / "index.html"
        route.fulfill(path=file, content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream")


def open_study(browser: Browser, archive: Orthanc, study_uid: str) -> Page:
    """The viewer's page for a study, for a user who never saw the viewer before; its tour is skipped."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(_START_MS)
    context.route("**/*", partial(_answer, package(), archive))
    page = context.new_page()
    page.goto(f"{archive.url}/viewer?StudyInstanceUIDs={study_uid}")
    page.wait_for_function(_HAS_SEG)
    page.get_by_text("Skip all").click()
    return page


def open_segmentation(page: Page, description: str) -> Shown:
    """Opens the Segmentation as a user does: a double click on its series, and "Yes"."""
    page.locator('[data-cy="study-browser-thumbnail-no-image"]', has_text=description).dblclick()
    page.get_by_text("Yes", exact=True).click()
    page.wait_for_function(_HYDRATED)
    found: dict[str, Any] = page.evaluate(_SEGMENTATION)
    return Shown(
        {one["number"]: one["label"] for one in found["segments"]},
        {one["number"]: tuple(one["rgb"]) for one in found["segments"]},
        {int(number): count for number, count in found["voxels"].items()},
    )


def colours_at(page: Page, slice_index: int, positions_mm: list[list[float]], picture: Path) -> list[tuple[int, ...]]:
    """RGB on the screen where positions (LPS mm) of one slice are drawn. slice_index: in the viewer's order, from 0.

    picture: where the screenshot is kept.
    """
    page.evaluate(_JUMP, slice_index)
    page.wait_for_timeout(1500)
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture)
    shot = np.asarray(Image.open(BytesIO(picture.read_bytes())).convert("RGB"))
    return [tuple(map(int, shot[round(y), round(x)])) for x, y in page.evaluate(_ON_PAGE, positions_mm)]
