"""A broker that is killed, emptied, frozen or absent, or delivers a message a hundred times."""

from __future__ import annotations

import time

from service.common.messages import try_publish
from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import until


def test_f6_a_broker_that_loses_everything_loses_no_job(world: World) -> None:
    # Four jobs run. The messages of the others wait in the broker and are lost when it dies.
    ids = world.put(*(make_spec(1, seed=seed) for seed in range(12)))
    world.await_steps(*ids[:4])
    world.broker.kill()
    world.broker.start()

    until(lambda: world.job(ids[6]).state != "queued", 30, "some more are running")
    world.broker.flush()

    world.assert_kept()
    assert {world.job(id).attempt for id in ids} == {1}


def test_f7_a_frozen_broker_hurts_neither_a_post_nor_a_poll(world: World) -> None:
    [running] = world.put(make_spec(2))
    world.await_steps(running)

    with world.broker.frozen():
        asked = time.monotonic()
        assert world.post(make_spec(0.5)).status_code == 201
        assert time.monotonic() - asked < 5
        asked = time.monotonic()
        assert world.http.get(f"/v1/jobs/{running}").status_code == 200
        assert time.monotonic() - asked < 1
        ready = world.http.get("/readyz")
        assert (ready.status_code, "broker" in ready.json()["detail"]) == (503, True)
        world.await_state(running, "succeeded")

    world.assert_kept()


def test_f8_a_service_starts_without_its_broker(world: World) -> None:
    world.broker.kill()
    for program in (world.api, world.recovery, world.worker):
        program.end()
    world.start_worker()
    world.start_recovery()
    world.start_api()
    world.await_api()

    asked = time.monotonic()
    answer = world.post(make_spec())
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    assert time.monotonic() - asked < 5
    world.broker.start()

    world.assert_kept()


def test_f9_a_message_that_comes_a_hundred_times_starts_one_claim(world: World) -> None:
    [id] = world.put(make_spec(0.5))
    for _ in range(99):
        assert try_publish(world.publisher, id)

    world.assert_kept()
    world.await_quiet()
    assert (world.job(id).attempt, world.job(id).fence) == (1, 1)
