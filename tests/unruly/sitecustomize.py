"""Makes the pipeline of a worker do what the Series Description of a CT says. Python runs this at its start.

LOOP: never ends. LOCK: waits for a lock that nobody frees. HOG: takes more and more memory. BROKEN: raises.
Any other CT is analysed without models: what is as thin as lung is one lobe.
"""

import importlib.machinery
import sys
import threading
import time

_MODULE = "service.pipelines.covid_severity.pipeline"


def _analyse(_self, ct, _backend, progress):
    import numpy as np
    from helpers import evidence_samples

    progress("lungs", 0.0)
    kind = str(ct.headers[0].SeriesDescription)
    if kind == "BROKEN":
        raise ZeroDivisionError(str(ct.headers[0].PatientName))
    if kind == "LOCK":
        from service.analysis import watchdog

        watchdog.Unwanted.grace_s = 5.0
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    kept = []
    while kind in ("LOOP", "HOG"):
        if kind == "HOG":
            kept.append(np.ones(1_000_000))
            time.sleep(0.005)
    mask = (ct.volume.array < -700).astype("uint8")
    return evidence_samples.analysis_of(ct, mask, 0 * mask)


class _Finder:
    """Replaces the analysis when the pipeline's module is imported."""

    def find_spec(self, name, path=None, _target=None):
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.CovidSeverity.analyse = _analyse

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder())
