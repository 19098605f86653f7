"""A process of the API does not load packages that it does not need."""

from __future__ import annotations

import subprocess
import sys


def test_the_api_loads_neither_numba_nor_scikit_learn_nor_the_worker() -> None:
    code = (
        "import sys, service.api.app; from service.common.settings import Settings;"
        "service.api.app.create_app(Settings());"
        "print(*({'numba', 'llvmlite', 'sklearn', 'scipy', 'worker'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == ""
