"""Schemathesis against a running service, with all of its checks and those of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.fuzz.live import Live

ST = Path(sysconfig.get_path("scripts")) / "st"
ROOT = Path(__file__).parents[2]
CALLERS = ("ada", "bob")

OF_A_STEP = ["2xx", "401", "403", "404", "409", "422", "429"]
# What the document cannot say may be refused: a job must also fit together and have a parent, a
# text must be a table, a cursor must be one of ours, a step one that the job has taken, and a
# picture one that it has.
REFUSED = {
    "submit_job": ["2xx", "401", "403", "422", "429", "507"],
    "list_jobs": ["2xx", "401", "403", "422", "429"],
    "get_parameters": OF_A_STEP,
    "get_model": OF_A_STEP,
    "get_plot": OF_A_STEP,
    "get_graph": OF_A_STEP,
    "create_dataset": ["2xx", "401", "403", "422", "429", "507"],
    "list_datasets": ["2xx", "401", "403", "422", "429"],
}
# What does not fit the document; 414 and 431 where it is very long besides.
WRONG = ["400", "401", "403", "404", "405", "409", "413", "414", "415", "422", "429", "431"]


@dataclass(frozen=True)
class Result:
    """What Schemathesis printed, and what the service counted: by method, route and status."""

    passed: bool
    text: str
    requests: Counter[tuple[str, str, int]]


def run(live: Live, folder: Path, *, examples: int, seed: int, phases: str = "all") -> Result:
    """Sends up to `examples` generated requests to each operation, and those of other phases."""
    before = _requests(live)
    config = folder / "schemathesis.toml"
    config.write_text(_config(live, folder))
    document = folder / "openapi.json"
    document.write_text(live.people["ada"].get("/openapi.json").raise_for_status().text)
    command = [ST, "--no-color", "--config-file", config, "run", document, "--url", live.url]
    command += ["--checks", "all", "--max-examples", str(examples), "--seed", str(seed)]
    command += [] if phases == "all" else ["--phases", phases]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(done.returncode == 0, done.stdout + done.stderr, _requests(live) - before)


def _requests(live: Live) -> Counter[tuple[str, str, int]]:
    text = live.people["ada"].get("/metrics").raise_for_status().text
    return Counter(
        {
            (labels["method"], labels["route"], int(labels["status"])): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "gradserve_http_requests_total" and (labels := sample.labels)
        }
    )


def _config(live: Live, folder: Path) -> str:
    """Schemathesis's settings. Strings and lists of them look alike in JSON and TOML."""
    ids = [id for person in live.ids.values() for id in person]
    auth = folder / "auth.json"
    headers = {name: f"Bearer {live.keys[name]}" for name in CALLERS}
    people = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": header}]}
        for name, header in headers.items()
    ]
    auth.write_text(json.dumps({"auth": people}))
    text = f"""
        hooks = "tests.fuzz.checks"
        continue-on-failure = true
        [checks.negative_data_rejection]
        expected-statuses = {json.dumps(WRONG)}
        [dictionaries.ids]
        values = {json.dumps(ids)}
        [parameters."path.id"]
        dictionary = "ids"
        probability = 0.8
        [auth.wfc]
        path = {json.dumps(str(auth))}
        peers = {json.dumps(CALLERS)}
    """
    for operation, statuses in REFUSED.items():
        text += f"""
            [[operations]]
            include-operation-id = "{operation}"
            checks.positive_data_acceptance.expected-statuses = {json.dumps(statuses)}
        """
    return text
