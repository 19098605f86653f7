"""`make demo`: a network trained over HTTP, from an empty folder to two pictures.

Starts the whole service in a temporary folder, submits examples/moons.json, shows the progress,
downloads the result, draws it and stops the service.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from engine.data import loading
from engine.inference import preprocessing_of
from engine.spec import JobSpec
from gradserve.cli.formatting import failure
from gradserve.cli.job_file import read_job
from gradserve.cli.progress import follow
from gradserve.client import Gradserve
from gradserve.errors import ClientError
from gradserve.types import History, Job, Parameters

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "moons.json"
OUTPUT = Path("demo")
STOP_SECONDS = 20.0


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    try:
        demonstrate(Console(highlight=False, soft_wrap=True))
    except ClientError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"demo: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def stop(signal_number: int, frame: object) -> NoReturn:
    """Exits through the `with` blocks, which stop the service."""
    sys.exit(128 + signal_number)


def demonstrate(console: Console) -> None:
    OUTPUT.mkdir(exist_ok=True)
    document = read_job(str(EXAMPLE))
    spec = JobSpec.model_validate(document)
    console.print("Starting the service: API, broker, worker and recovery, in a temporary folder")
    with running_service() as url, Gradserve(url) as client:
        console.print(
            f"Submitting examples/{EXAMPLE.name} to {url}: {spec.dataset.shape()[0]} examples, "
            f"a network of {spec.parameters()} parameters, {spec.training.steps} steps"
        )
        job = follow(client.watch(client.submit(document)["id"]), console)
        reason = failure(job)
        if reason is not None:
            raise ClientError(reason)
        history, parameters = client.history(job["id"]), client.parameters(job["id"])
    console.print("Stopped the service")
    for row in (history[0], history[-1]):
        console.print(
            f"step {row['step']:>3}   loss {row['loss']!r:<20}   accuracy {row['accuracy']:.0%}"
        )
    for path in write_result(spec, job, history, parameters):
        console.print(f"Wrote {path}")


def write_result(spec: JobSpec, job: Job, history: History, parameters: Parameters) -> list[Path]:
    # Importing matplotlib takes most of a second, which must not delay the first step.
    from service.plots.decision_boundary import draw_decision_boundary
    from service.plots.loss_curve import draw_loss_curve

    result, loss, boundary = (
        OUTPUT / name for name in ("result.json", "loss.png", "decision_boundary.png")
    )
    document = {"job": job, "history": history, "parameters": parameters}
    result.write_text(json.dumps(document, indent=2) + "\n")
    score = spec.loss.score_name
    title = f"{spec.name}: loss and {score} over {len(history)} steps"
    draw_loss_curve(history, title, loss, score)
    x, y = loading.load(spec.dataset)
    title = f"{spec.name}: what the network learned"
    draw_decision_boundary(parameters, x, y, title, boundary, preprocessing_of(spec))
    return [result, loss, boundary]


@contextmanager
def running_service() -> Iterator[str]:
    """The address of a temporary service: a free port, a temporary folder, one worker.

    Raises:
        ClientError: it did not start; its reason is on standard error.
    """
    # The settings of this shell's service would lead to its database or its broker.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRADSERVE_")}
    with tempfile.TemporaryDirectory(prefix="gradserve-", ignore_cleanup_errors=True) as folder:
        # -P: a folder named gradserve in the current one must not be imported.
        command = [sys.executable, "-P", "-m", "gradserve", "up", "--port", "0", "--workers", "1"]
        process = subprocess.Popen(  # nosec B603 - our own command, no shell
            [*command, "--data-dir", folder], stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            yield announced_url(process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def announced_url(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise ClientError("the service did not start")


if __name__ == "__main__":
    sys.exit(main())
