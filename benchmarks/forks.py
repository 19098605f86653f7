"""python -m benchmarks.forks COUNT: the first job of COUNT children of a warm process.

Writes [[processor seconds, seconds], …] as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.cases import XOR, specify
from engine import native
from engine.train import train


def in_a_child() -> list[float]:
    spec = specify(XOR, 20)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in train(spec):
            pass
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        os.write(writing, json.dumps([cpu, wall]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found: list[float] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return found


if __name__ == "__main__":
    native.warm_up()
    print(json.dumps([in_a_child() for _ in range(int(sys.argv[1]))]))
