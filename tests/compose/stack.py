"""docker-compose.yml as a running stack of its own: other names, ports and passwords."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradserve.client import Gradserve
from tests.compose.checks import Failed

ROOT = Path(__file__).parents[2]
PREFIXES = ("GRADSERVE_", "POSTGRES_", "REDIS_", "API_", "WORKER", "IMAGE_", "BUILD_", "COMPOSE_")

# Some versions of Compose write this before each line of a log, even without a terminal.
CLEAR_LINE = "\x1b[2K"

Done = subprocess.CompletedProcess[str]


def engine_problem() -> str | None:
    """The reason why no Docker engine with Compose can be used here; None if one can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    if docker("info", check=False).returncode != 0:
        return "`docker info` finds no running engine"
    if docker("compose", "version", check=False).returncode != 0:
        return "docker has no compose plugin"
    return None


def docker(*arguments: str, check: bool = True, **options: Any) -> Done:
    return _run(["docker", *arguments], check=check, **options)


class Stack:
    """One project of docker compose. Its files are in `folder`; nothing is written elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"gradserve-test-{secrets.token_hex(4)}"
        self.port = _free_port()
        # In a Docker without its own bridge, builds reach the internet only through the host's
        # network.
        bridge = docker("network", "inspect", "bridge", check=False).returncode == 0
        self.build_network = "default" if bridge else "host"
        self.api_key = f"gs_{secrets.token_hex(4)}_{secrets.token_hex(32)}"
        self.env = {
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "REDIS_PASSWORD": secrets.token_hex(16),
            "GRADSERVE_API_KEY": self.api_key,
            "API_PORT": str(self.port),
            "BUILD_NETWORK": self.build_network,
        }
        self.use_image(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def image(self) -> str:
        return f"gradserve:{self.env['IMAGE_TAG']}"

    def image_of(self, version: int) -> str:
        return f"gradserve:{self.name}-{version}"

    def use_image(self, version: int) -> None:
        self.env["IMAGE_TAG"] = self.image_of(version).partition(":")[2]

    def client(self) -> Gradserve:
        return Gradserve(self.url, api_key=self.api_key, timeout=30)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def compose(
        self, *arguments: str, check: bool = True, override: str | None = None, **options: Any
    ) -> Done:
        """Runs `docker compose …` on the project's file, and on `override` (YAML) if given."""
        variables = self.folder / "env"
        variables.write_text("".join(f"{name}={text}\n" for name, text in self.env.items()))
        files = ["--file", str(ROOT / "docker-compose.yml")]
        if override is not None:
            extra = self.folder / "override.yml"
            extra.write_text(override)
            files += ["--file", str(extra)]
        command = ["docker", "compose", "--ansi", "never", "--progress", "quiet"]
        command += ["--project-name", self.name, "--env-file", str(variables), *files]
        return _run([*command, *arguments], check=check, **options)

    def up(self, *arguments: str, **options: Any) -> Done:
        """Starts the stack as a person does, and waits."""
        return self.compose("up", "--detach", "--wait", *arguments, **options)

    def containers(self, service: str) -> list[str]:
        """The ids of the service's running containers."""
        return self.compose("ps", "--quiet", service).stdout.split()

    def status(self, service: str) -> str:
        """The status that `docker compose ps --all` shows for a service."""
        shown = self.compose("ps", "--all", "--format", "json", service).stdout
        return "; ".join(json.loads(line)["Status"] for line in shown.splitlines())

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", container).stdout)[0]
        return found

    def inside(self, service: str, script: str, *, check: bool = True) -> str:
        """The output of a shell script in the service's first container."""
        done = self.compose("exec", "--no-TTY", service, "sh", "-c", script, check=check)
        return done.stdout.strip()

    def sql(self, query: str) -> list[str]:
        """The rows of a query's result, as psql prints them."""
        options = "--username=gradserve --no-align --tuples-only"
        return self.inside("postgres", f'psql {options} --command="{query}"').splitlines()

    def logs(self, *services: str) -> list[str]:
        lines = self.compose("logs", "--no-log-prefix", *services).stdout.splitlines()
        return [line.removeprefix(CLEAR_LINE) for line in lines]

    def events(self, *services: str) -> list[dict[str, Any]]:
        """The log lines of the services as JSON objects."""
        return [json.loads(line) for line in self.logs(*services) if line.startswith("{")]

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks of the project."""
        label = f"label=com.docker.compose.project={self.name}"
        return [
            *docker("ps", "--all", "--quiet", "--filter", label).stdout.split(),
            *docker("volume", "ls", "--quiet", "--filter", label).stdout.split(),
            *docker("network", "ls", "--quiet", "--filter", label).stdout.split(),
        ]

    def last_words(self) -> str:
        """The state of the containers and the last log lines, to find out what went wrong."""
        shown = self.compose("ps", "--all", check=False).stdout
        logs = self.compose("logs", "--tail", "20", check=False).stdout
        return shown + logs.replace(CLEAR_LINE, "")

    def clear_away(self) -> None:
        """Removes everything that the project has made in the engine."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)
        for version in (1, 2):
            docker("image", "rm", "--force", self.image_of(version), check=False)


def _run(command: Sequence[str], *, check: bool, **options: Any) -> Done:
    # The variables of this shell must not replace values of the project's file.
    env = {name: text for name, text in os.environ.items() if not name.startswith(PREFIXES)}
    streams = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    } | options
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, check=False, **streams)
    if check and done.returncode != 0:
        # The whole command is long, and its last words say what was asked of Docker.
        asked = " ".join(command[-6:])
        raise Failed(f"… {asked} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
