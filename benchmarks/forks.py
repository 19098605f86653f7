"""python -m benchmarks.forks COUNT: the first jobs of COUNT children of a warm process.

Writes [[[processor seconds, seconds] of each job], …] as JSON. The first job bears
the page faults; a pool process of the worker trains three times before it takes a job.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.cases import XOR, specify
from engine import native
from engine.train import train

JOBS = 4


def in_a_child() -> list[list[float]]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, json.dumps([timed_job() for _ in range(JOBS)]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found: list[list[float]] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return found


def timed_job() -> list[float]:
    spec = specify(XOR, 20)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in train(spec):
        pass
    return [time.process_time() - cpu, time.perf_counter() - wall]


if __name__ == "__main__":
    native.warm_up()
    print(json.dumps([in_a_child() for _ in range(int(sys.argv[1]))]))
