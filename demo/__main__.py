"""`make demo`: starts the service and a stand-in PACS, sends the demo CT over DICOM, waits, checks the results."""

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from pydicom import dcmread
from rich.console import Console

from demo.check import check
from demo.pacs import StandInPacs
from demo.steps import Steps
from demo.tumour import beside_expert

HERE = Path(__file__).resolve().parent
ENDS_BADLY = ("refused", "failed", "undelivered")
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--ct", type=Path, default=HERE / "ct", help="folder with the CT to send")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where the results go; emptied first")
    parser.add_argument("--timeout-s", type=float, default=900, help="give up after this long")
    parser.add_argument(
        "--pipeline", nargs="+", default=["covid-severity"], metavar="NAME", help="as `thoracle pipelines` lists them"
    )
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    try:
        return run(options.ct, options.out, options.timeout_s, options.pipeline)
    except (TimeoutError, AssertionError, RuntimeError) as error:
        console.print(f"[red]The demo failed:[/] {error}\nThe service's log: {options.out / 'service.log'}")
        return 1


def run(ct: Path, out: Path, timeout_s: float, pipelines: Sequence[str]) -> int:
    dicom, pacs_port, http = free_ports(3)
    config = write_config(out, dicom, pacs_port, http, pipelines)
    api = f"http://127.0.0.1:{http}"
    deadline = time.monotonic() + timeout_s
    slices = sorted(ct.glob("*.dcm"))
    console.print("[bold]Thoracle demo[/] - research use only, not for diagnostic use")
    with ExitStack() as stack:
        pacs = stack.enter_context(StandInPacs(out / "pacs", "DEMOPACS", pacs_port))
        steps = stack.enter_context(Steps(console))
        service = start_service(config, out / "service.log")
        stack.callback(stop, service)
        steps.begin("starting the service (receiver, worker, API)")
        wait(lambda: get(f"{api}/readyz"), service, deadline, "the service did not become ready")
        steps.say(f"service ready: THORACLE@127.0.0.1:{dicom}, {api}")
        sent_at = time.monotonic()
        steps.begin(f"sending {len(slices)} CT slices over DICOM (C-STORE)")
        send(ct, f"THORACLE@127.0.0.1:{dicom}")
        steps.begin("waiting until the study is complete")

        def delivered() -> bool:
            jobs = (get(f"{api}/api/jobs") or {"jobs": []})["jobs"]
            if jobs:
                steps.say("; ".join(f"{job['pipeline']} (job {job['job_id']}): {job['state']}" for job in jobs))
            ended = [is_delivered(get(f"{api}/api/jobs/{job['job_id']}") or job) for job in jobs]
            return len(jobs) == len(pipelines) and all(ended)

        wait(delivered, service, deadline, "the results did not come back")
        minutes = (time.monotonic() - sent_at) / 60
        steps.end()
    found = check(pacs.received, dcmread(slices[0], stop_before_pixels=True), out, len(pipelines))
    console.print(f"\n[green]The results are back in the PACS[/] {minutes:.2f} minutes after the first slice was sent:")
    for description, path in sorted(found.items()):
        console.print(f"  {description}\n       {path}")
    if ct == HERE / "ct":
        for sentence in beside_expert(pacs.received):
            console.print(f"  {sentence}")
    return 0


def send(ct: Path, to: str) -> None:
    """`thoracle send`, which names on standard error what was not stored."""
    command = [sys.executable, "-m", "service", "send", str(ct), "--to", to, "--from", "DEMOCT"]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise RuntimeError(f"the service did not take every slice of {ct}")


def is_delivered(job: dict[str, Any]) -> bool:
    """RuntimeError with the sentences that explain it when the job ended in any other way."""
    if job["state"] not in ENDS_BADLY:
        return bool(job["state"] == "delivered")
    reasons = [f"{r['sentence']} {r['detail']}" for r in job.get("reasons", [])]
    failures = {d["last_error"] for d in job.get("deliveries", []) if d["last_error"]}
    known = filter(None, [job["error"], *reasons, *sorted(failures)])
    raise RuntimeError(f"the job ended as {job['state']}: {' '.join(known)}")


def write_config(out: Path, dicom: int, pacs: int, http: int, pipelines: Sequence[str]) -> Path:
    """The demo's thoracle.yaml (JSON is YAML)."""
    config = {
        "data_dir": str(out / "data"),
        "pipelines": list(pipelines),
        "receiver": {
            "host": "127.0.0.1",
            "port": dicom,
            "quiet_s": 3,
            "callers": {"DEMOCT": {"addresses": ["127.0.0.1"]}},
            "min_free_gb": 0.2,
        },
        "destinations": {"demo-pacs": {"ae_title": "DEMOPACS", "host": "127.0.0.1", "port": pacs}},
        "api": {"port": http},
    }
    path = out / "thoracle.yaml"
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    return path


def start_service(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        command = [sys.executable, "-m", "service", "serve", "--config", str(config)]
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def stop(service: subprocess.Popen[bytes], within_s: float = 60.0) -> None:
    """It has ended when this returns: killed, if it does not end by itself."""
    service.send_signal(signal.SIGTERM)
    try:
        service.wait(within_s)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def wait(condition: Any, service: subprocess.Popen[bytes], deadline: float, otherwise: str) -> None:
    while not condition():
        if service.poll() is not None:
            raise RuntimeError(f"the service ended with code {service.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.3)


def get(url: str, token: str = "") -> dict[str, Any] | None:
    """The JSON at `url`, or None while nobody answers or the answer is not good yet. token: of the API, "": none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            document: dict[str, Any] = json.load(answer)
            return document
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


if __name__ == "__main__":
    sys.exit(main())
