"""Creates .venv, or brings it up to date with uv.lock.

`make setup` runs this with any Python >= 3.11; it uses only the standard library. A second
run finds the stamp and does nothing. After an interrupted installation, a move of the project or
the removal of its Python the environment is created again from nothing. Concurrent runs wait for
each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
INSTALLING = "installing"


def main() -> None:
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if read(STAMP) == fingerprint() and usable():
        return
    if not os.access(ROOT, os.W_OK):
        sys.exit(
            f"{ROOT} is not writable for this user; clone the project into a folder of your own"
        )
    if read(STAMP) == INSTALLING or not usable():
        make_environment()
    STAMP.write_text(INSTALLING)
    try:
        install()
    except subprocess.CalledProcessError as error:
        # uv and pip have printed the reason, and installed only whole packages.
        STAMP.unlink()
        sys.exit(
            f"Installing the locked packages failed: {Path(error.cmd[0]).name} ended with "
            f"{error.returncode}. Is the package index reachable?"
        )
    STAMP.write_text(fingerprint())


def fingerprint() -> str:
    """A hash of everything that decides what is installed."""
    digest = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def usable() -> bool:
    """Whether the Python in .venv runs, and the commands there start that Python."""
    command = VENV / "bin" / "gradserve"
    if command.exists() and str(VENV) not in command.read_text():
        return False
    recent = "import sys; sys.exit(sys.version_info < (3, 11))"
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", recent]).returncode == 0


def make_environment() -> None:
    print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    except subprocess.CalledProcessError:
        sys.exit(
            f"{sys.executable} cannot make a virtual environment; on Debian and Ubuntu the "
            "package python3-venv is missing"
        )


def install() -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "UV_PYTHON")
    }
    environment |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    uv = find_uv(environment)
    if not cache_is_writable(uv, environment):
        environment["UV_NO_CACHE"] = "1"
    subprocess.run(
        [uv, "sync", "--locked", "--compile-bytecode", "--python", PYTHON],
        cwd=ROOT,
        env=environment,
        check=True,
    )


def find_uv(environment: dict[str, str]) -> Path:
    """uv from the PATH or from .venv where it is recent enough, else installed into .venv."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    wanted = next(package["version"] for package in packages if package["name"] == "uv")
    own = VENV / "bin" / "uv"
    for candidate in (shutil.which("uv"), own):
        if candidate and version_of(Path(candidate))[:2] >= numbers(wanted)[:2]:
            return Path(candidate)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-cache-dir", "--ignore-installed", f"uv=={wanted}"],
        env=environment,
        check=True,
    )
    return own


def version_of(uv: Path) -> tuple[int, ...]:
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return numbers(answer.stdout.split()[1])


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def cache_is_writable(uv: Path, environment: dict[str, str]) -> bool:
    answer = subprocess.run(
        [uv, "cache", "dir"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    try:
        folder = Path(answer.stdout.strip())
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next run starts the installation again")
