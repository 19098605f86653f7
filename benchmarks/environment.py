"""Makes .venv-bench: the project's locked packages, and the peers of requirements.txt.

pip takes PyTorch from the index it is configured for if that index has the build without CUDA,
otherwise from the index that TORCH_INDEX names. A second run finds the stamp and does nothing.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
SOURCES = ("uv.lock", "pyproject.toml", "benchmarks/requirements.txt")


def main() -> None:
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in SOURCES)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Making .venv-bench with PyTorch, JAX and micrograd", flush=True)
    STAMP.unlink(missing_ok=True)
    venv.create(VENV, with_pip=True, clear=not PYTHON.exists())
    try:
        sync()
        install_peers()
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"{Path(error.cmd[0]).name} ended with exit code {error.returncode}. Are the package "
            "index and TORCH_INDEX reachable?"
        )
    STAMP.write_text(wanted)


def sync() -> None:
    """Installs the locked packages with the uv of .venv."""
    uv = ROOT / ".venv" / "bin" / "uv"
    subprocess.run(
        [uv, "sync", "--locked", "--inexact", "--quiet", "--python", PYTHON],
        cwd=ROOT,
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(VENV)},
        check=True,
    )


def install_peers() -> None:
    requirements = str(ROOT / "benchmarks" / "requirements.txt")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--requirement", requirements]
    index = os.environ.get("TORCH_INDEX")
    if subprocess.run(pip, stderr=subprocess.PIPE).returncode != 0:
        subprocess.run([*pip, *(["--extra-index-url", index] if index else [])], check=True)


if __name__ == "__main__":
    main()
