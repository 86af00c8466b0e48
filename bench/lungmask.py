"""The networks of lungs and opacities against lungmask's network, on the same CT in the same run.

lungmask (Hofmanninger 2020) sees each slice of the CT and finds lungs only. Its network has random weights here: they
change no time. It is served as ours are, a thread for each core.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort
from pydicom import dcmread

from bench.cases import cases
from bench.figures import Figure, Target
from bench.launch import CORES
from service.domain.ct import CT
from service.domain.ports import Backend
from service.imaging.body_crop import to_body_crops
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import lungs_of, slice_answers
from service.pipelines.shared.model_roles import LUNG_OPACITY, OPACITY_CONTEXT
from service.pipelines.shared.slices import infer_slices, plane_grid_of
from service.pipelines.shared.stacks import infer_stacks
from service.settings import load

PART = "lungmask"

_RATIO = Target(18, at_least=True)
_SLICES = 24
"""How many slices, evenly spread over the CT, lungmask's network is asked about; the others would take as long."""


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Seconds of the networks alone, and how many times as long lungmask's takes."""
    case = cases()[0]
    ct = read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])
    ours, theirs = OnnxBackend(load(None).inference.repository, CORES), _lungmask()
    _both_networks(ct, ours)  # the first time is not counted
    _of_lungmask(ct, theirs)
    ratios, seconds = list[float](), list[float]()
    for _ in range(repeat):
        seconds.append(_both_networks(ct, ours))
        ratios.append(_of_lungmask(ct, theirs) / seconds[-1])
    yield Figure(PART, f"{case.name}: networks of lungs and opacities", "s", tuple(seconds))
    note = f"lungmask's network on {_SLICES} slices, as long for each other; ours see slices averaged to 2.5 mm"
    yield Figure(PART, f"{case.name}: lungmask's network / both networks", "", tuple(ratios), _RATIO, True, note)


def _both_networks(ct: CT, ours: Backend) -> float:
    single, context = (ours.spec(role.name) for role in (LUNG_OPACITY, OPACITY_CONTEXT))
    grid = plane_grid_of(ct, single)
    lungs = lungs_of(ct, slice_answers(ct, ours, lambda done: None), ours, lambda done: None).on_model.array > 0
    stacked = plane_grid_of(ct, context).array
    assert stacked.shape == lungs.shape, "both networks want the same grid"
    began = perf_counter()
    infer_slices([grid], single, ours)
    infer_stacks(stacked, lungs, context, ours)
    return perf_counter() - began


def _of_lungmask(ct: CT, session: ort.InferenceSession) -> float:
    """Seconds for all slices of the CT."""
    from converters.lungmask import MAX_BATCH, SIZE, WINDOW_HU

    crops = [crop.array for crop in to_body_crops(ct.volume, SIZE, WINDOW_HU)]
    hu = np.stack(crops)[np.linspace(0, len(crops) - 1, _SLICES).round().astype(int)]
    batches = [hu[k : k + MAX_BATCH] for k in range(0, _SLICES, MAX_BATCH)]
    with ThreadPoolExecutor(CORES) as threads:
        began = perf_counter()
        list(threads.map(lambda batch: session.run(["served"], {"hu": batch}), batches))
        return (perf_counter() - began) * len(crops) / _SLICES


def _lungmask() -> ort.InferenceSession:
    # Only here: what is measured before this does not need them.
    import torch
    from lungmask.resunet import UNet

    from converters.lungmask import MAX_BATCH, SIZE, Served
    from converters.onnx_export import export

    torch.manual_seed(0)
    network = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
    example = torch.zeros((2, 1, SIZE, SIZE), dtype=torch.int16)
    model = export(Served(network, 3).eval(), example, "hu", ["probability", "served"], MAX_BATCH)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
