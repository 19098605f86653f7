"""The stack in normal operation. Each step returns a description of its result."""

from __future__ import annotations

import json
import os
import subprocess
import time

import httpx

from gradserve.client import Gradserve
from tests.compose import jobs
from tests.compose.checks import expect, until
from tests.compose.jobs import LONG, SEEDS, SHORT, Undisturbed
from tests.compose.stack import ROOT, Stack, docker
from tests.compose.world import World, busy_worker
from tests.engine.published import LOSSES

MASS = 200
LONG_ROUNDS = 2
LONG_JOBS = LONG_ROUNDS * len(SEEDS)
SERVICES = ("api", "worker", "interactive", "recovery", "redis", "postgres")
FOLDERS = "/ /app /bin /etc /home /opt /opt/venv /root /sbin /usr /usr/local /var /var/lib"


def build(world: World) -> str:
    world.stack.compose("build")
    size, base = (
        int(docker("image", "inspect", "--format", "{{.Size}}", image).stdout) / 1e6
        for image in (world.stack.image, "python:3.12-slim-bookworm")
    )
    return f"{size:.0f} MB, {size - base:.0f} MB on top of its base image"


def up(world: World) -> str:
    world.stack.up()
    expect(world.stack.client().ready(), "the API is not ready although --wait says so")
    expect("Exited (0)" in world.stack.status("migrate"), "migrate did not end with 0")
    return "all healthy, migrate exited (0)"


def confined(world: World) -> str:
    for service in SERVICES:
        _confined(service, world.stack)
        _limited(service, world.stack)
    found = world.stack.inside("api", "which gcc cc g++ clang ld make || true")
    expect(not found, f"the image holds {found}")
    world.stack.inside("api", "echo 'digraph { a -> b }' | dot -Tsvg | grep -q '</svg>'")
    return "all six: uid ≠ 0, no capability, read-only, limited; no compiler; dot draws"


def _confined(service: str, stack: Stack) -> None:
    expect(stack.inside(service, "id -u") != "0", f"{service} runs as root")
    for line in stack.inside(service, "cat /proc/1/status").splitlines():
        name, _, value = line.partition(":")
        if name.startswith("Cap"):
            expect(int(value, 16) == 0, f"{service} has capabilities: {line}")
        if name == "NoNewPrivs":
            expect(value.strip() == "1", f"{service} may gain privileges")
    written = stack.inside(
        service,
        f"for folder in {FOLDERS}; do"
        '  touch "$folder/written" 2>/dev/null && echo "$folder"; '
        "done; touch /tmp/written && rm /tmp/written",
    )
    expect(not written, f"{service} can write to {written}")


def _limited(service: str, stack: Stack) -> None:
    host = stack.inspect(stack.containers(service)[0])["HostConfig"]
    for limit in ("Memory", "NanoCpus", "PidsLimit"):
        expect((host[limit] or 0) > 0, f"{service} has no limit {limit}")
    expect(host["RestartPolicy"]["Name"] == "unless-stopped", f"{service} is not restarted")
    published = [place for places in (host["PortBindings"] or {}).values() for place in places]
    addresses = [place["HostIp"] for place in published]
    expect(addresses == (["127.0.0.1"] if service == "api" else []), f"{service}: {published}")


def locked(world: World) -> str:
    stack = world.stack
    answer = httpx.get(f"{stack.url}/v1/jobs", trust_env=False)
    expect(answer.status_code == 401, f"without a key the answer is {answer.status_code}")
    key = stack.inside("api", "gradserve keys create ada").strip()
    with Gradserve(stack.url, api_key=key, timeout=30) as ada:
        expect(ada.list() == [], "a new owner sees jobs of others")
    prefix = key.split("_")[1]
    stack.inside("api", f"gradserve keys revoke {prefix}")
    answer = httpx.get(
        f"{stack.url}/v1/jobs", headers={"Authorization": f"Bearer {key}"}, trust_env=False
    )
    expect(answer.status_code == 401, "a revoked key still works")
    return "401 without a key; a key made, used and revoked in the api container"


def moons(world: World) -> str:
    command = [str(ROOT / ".venv/bin/gradserve"), "submit", str(ROOT / "examples/moons.json")]
    done = subprocess.run(
        [*command, "--watch", "--json", "--url", world.stack.url],
        env=os.environ | {"GRADSERVE_API_KEY": world.stack.api_key},
        capture_output=True,
        text=True,
        check=False,
    )
    expect(done.returncode == 0, done.stderr)
    world.moons = json.loads(done.stdout)["id"]
    losses = [row["loss"] or 0.0 for row in world.stack.client().history(world.moons)]
    off = max(abs(loss - known) for loss, known in zip(losses, LOSSES, strict=True))
    expect(off < 1e-12, f"a loss differs from the published one by {off}")
    return f"100 losses within {off:.0e} of those published, the last one {losses[-1]}"


def any_step(world: World) -> str:
    spec = json.loads((ROOT / "examples/moons.json").read_text())
    spec["training"]["checkpoint_every"] = 50
    with world.stack.client() as client:
        job = client.submit(spec)
        *_, job = client.watch(job["id"])
        found = [client.parameters(job["id"], step=step) for step in (33, 34, 100)]
        expect([one["step"] for one in found] == [33, 34, 100], "other steps were given")
        expect(found[-1] == client.parameters(world.moons), "the last step is another result")
        client.delete(job["id"])
    lines = world.stack.events("interactive")
    made = [line for line in lines if line["message"] == "artifact computed"]
    expect(len(made) == 2, f"interactive computed {len(made)} answers, not 2")
    return "step 100 read, 33 and 34 computed by interactive"


def followed(world: World) -> str:
    stack = world.stack
    given = stack.authorization | {"X-Request-Id": "compose-test.1"}
    answer = httpx.post(
        f"{stack.url}/v1/jobs", json=jobs.spec("followed", 1), headers=given, trust_env=False
    )
    expect(answer.headers["X-Request-Id"] == given["X-Request-Id"], "the answer has another id")
    with stack.client() as client:
        jobs.wait(client, "followed", 1, 60)
    wanted = {"api": "request", "worker": "job succeeded"}
    for service, message in wanted.items():
        found = [
            line for line in stack.events(service) if line.get("request_id") == "compose-test.1"
        ]
        messages = {line["message"] for line in found}
        expect(message in messages, f"{service} has lost the request's id: {messages}")
    expect({line.get("job_id") for line in found} == {answer.json()["id"]}, "lines of other jobs")
    lines = stack.logs("api", "worker", "interactive", "recovery", "migrate")
    plain = [line for line in lines if not line.startswith("{")]
    expect(not plain, f"not JSON: {plain[:3]}")
    expect(_metric(stack, 'gradserve_jobs{state="succeeded"}') == 2, "the metrics count wrong")
    return f"one id from the request to the worker; all {len(lines)} lines are JSON"


def undisturbed(world: World) -> str:
    with world.stack.client() as client:
        world.short = Undisturbed(client, SHORT)
        world.long = Undisturbed(client, LONG)
    return f"{len(SEEDS)} jobs of {SHORT} steps and {len(SEEDS)} of {LONG}"


def scaled(world: World) -> str:
    world.stack.up("--scale", "worker=3")
    expect(len(world.stack.containers("worker")) == 3, "there are not 3 workers")
    with world.stack.client() as client:
        for _ in range(LONG_ROUNDS):
            jobs.submit(client, "long", SEEDS, LONG)
            jobs.submit(client, "mass", SEEDS * (MASS // len(SEEDS) // LONG_ROUNDS), SHORT)
    return f"{MASS} jobs of {SHORT} steps and, in between, {LONG_JOBS} of {LONG}"


def worker_killed(world: World) -> str:
    stack = world.stack
    killed = busy_worker(stack)
    docker("kill", "--signal", "KILL", killed)
    crashed = busy_worker(stack)
    # This kills all processes but the container's first one, which then ends by itself. No Docker
    # command stopped this container, so Docker starts it again.
    docker("exec", crashed, "sh", "-c", "kill -9 -1", check=False)
    until(lambda: stack.inspect(crashed)["RestartCount"] > 0, 60, "the crashed one restarts")
    state = stack.inspect(killed)["State"]
    expect((state["Status"], state["ExitCode"]) == ("exited", 137), f"the killed one is {state}")
    return "the killed container stays down (137); the crashed one was started again"


def servers_restarted(world: World) -> str:
    stack = world.stack
    busy_worker(stack)
    stack.compose("restart", "redis", "postgres")
    started = time.monotonic()
    until(stack.client().ready, 60, "the API is ready again")
    ready = time.monotonic() - started
    for service in ("api", "recovery"):
        restarts = stack.inspect(stack.containers(service)[0])["RestartCount"]
        expect(restarts == 0, f"{service} was restarted {restarts} times")
    return f"api and recovery kept running; ready again {ready:.1f} s after both were up"


def all_succeeded(world: World) -> str:
    with world.stack.client() as client:
        jobs.wait(client, "long", LONG_JOBS, 900)
        jobs.wait(client, "mass", MASS, 900)
        again = world.long.check(client, "long", LONG_JOBS)
        again += world.short.check(client, "mass", MASS)
    expect(again > 0, "no job needed a second attempt: the kills struck no job")
    lost = _metric(world.stack, "gradserve_leases_lost_total")
    expect(lost > 0, "the metrics show no lost lease")
    return f"{MASS + LONG_JOBS} jobs with the same bits; {again} needed another attempt"


def all_restarted(world: World) -> str:
    stack = world.stack
    with stack.client() as client:
        jobs.submit(client, "restarted", SEEDS, LONG)
        before = jobs.outcome(client, world.moons)
    busy_worker(stack)
    started = time.monotonic()
    stack.compose("down")
    took = time.monotonic() - started
    expect(took < 30, f"stopping took {took:.0f} s: something had to be killed")
    stack.up()
    (left,) = stack.sql("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")
    with stack.client() as client:
        expect(jobs.outcome(client, world.moons) == before, "the moons job has changed")
        jobs.wait(client, "restarted", len(SEEDS), 300)
        again = world.long.check(client, "restarted", len(SEEDS))
    expect(again == 0, "a drain has counted as an attempt")
    return f"down in {took:.1f} s; no data lost, {left} of {len(SEEDS)} jobs resumed"


def _metric(stack: Stack, name: str) -> float:
    answer = httpx.get(f"{stack.url}/metrics", headers=stack.authorization, trust_env=False)
    lines = answer.text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))
