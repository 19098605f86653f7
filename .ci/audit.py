"""Looks for unsafe code and for packages with known holes, and lists what is in the service.

`make audit` runs this. Each of the three parts fails when it has looked at nothing, or not at all
that it should have looked at: a check that could not be made is not a check that was passed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
CODE = ("engine", "service", "worker", "gradserve", "migrations")
SBOM = ROOT / "dist" / "sbom.json"


class Failed(Exception):
    """Something was found, or could not be looked at; the message is for a person."""


def main() -> int:
    failures = 0
    for part in (code, bill_of_materials, packages):
        try:
            print(part())
        except Failed as error:
            failures += 1
            print(f"audit: {error}", file=sys.stderr)
    return 1 if failures else 0


def code(folders: Sequence[str] = CODE, root: Path = ROOT) -> str:
    """Looks for unsafe code with bandit. What it is to ignore is marked there, with a reason."""
    missing = [folder for folder in folders if not any((root / folder).rglob("*.py"))]
    if missing:
        raise Failed(f"there is no code in {', '.join(missing)}: was a folder moved?")
    command = [BIN / "bandit", "--configfile", ROOT / "pyproject.toml", "--format", "json"]
    report = _json([*command, "--quiet", "--recursive", *folders], root)
    unread = [error["filename"] for error in report["errors"]]
    files = sum(name.endswith(".py") for name in report["metrics"])
    expected = sum(1 for folder in folders for _ in (root / folder).rglob("*.py"))
    if unread or files != expected:
        raise Failed(
            f"bandit has read {files - len(unread)} of {expected} files; not {', '.join(unread)}"
        )
    found = [
        f"{issue['filename']}:{issue['line_number']}: {issue['test_id']} {issue['issue_text']}"
        for issue in report["results"]
    ]
    if found:
        raise Failed("bandit has found unsafe code:\n" + "\n".join(found))
    return f"bandit: {files} files, {report['metrics']['_totals']['loc']:,} lines, nothing unsafe"


def bill_of_materials(path: Path = SBOM) -> str:
    """Writes the packages of the service, without those of developers, as CycloneDX."""
    text = _run([*EXPORT, "--format", "cyclonedx1.5", "--no-dev", "--all-extras"]).stdout
    found = {part["name"] for part in json.loads(text or "{}").get("components", [])}
    wanted = names("--no-dev", "--all-extras")
    if not wanted or not wanted <= found:
        raise Failed(f"the bill of materials lacks {', '.join(sorted(wanted - found)) or 'all'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return f"bill of materials: {len(found)} packages, written to {path}"


def packages() -> str:
    """Asks for known holes of every locked package, those of developers included."""
    wanted = names("--all-extras", "--all-groups")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(_run([*EXPORT, *REQUIREMENTS, "--all-extras", "--all-groups"]).stdout)
        file.flush()
        command = [BIN / "pip-audit", "--requirement", file.name, "--disable-pip", "--format"]
        report = _json([*command, "json", "--progress-spinner", "off"], ROOT)
    check_packages(report, wanted)
    return f"pip-audit: {len(wanted)} packages, no known holes"


def check_packages(report: Mapping[str, Any], wanted: set[str]) -> None:
    """Raises Failed where pip-audit found a hole, or did not look at every package."""
    looked_at = {found["name"] for found in report["dependencies"] if "vulns" in found}
    found = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in report["dependencies"]
        for hole in package.get("vulns", ())
    ]
    if found:
        raise Failed("packages with known holes:\n" + "\n".join(found))
    missing = sorted(wanted - looked_at)
    if missing or not wanted:
        raise Failed(
            f"pip-audit could look up {len(wanted) - len(missing)} of {len(wanted)} packages "
            f"(not {', '.join(missing[:3])}, …): run `make audit` where https://pypi.org/pypi can "
            "be reached"
        )


EXPORT = (BIN / "uv", "export", "--quiet", "--locked", "--no-emit-project")
REQUIREMENTS = ("--format", "requirements.txt")


def names(*groups: str) -> set[str]:
    """The locked packages for this machine and all others."""
    text = _run([*EXPORT, *REQUIREMENTS, "--no-hashes", "--no-annotate", *groups]).stdout
    return {line.partition("==")[0] for line in text.splitlines() if "==" in line}


def _json(command: Sequence[str | Path], folder: Path) -> dict[str, Any]:
    done = _run(command, folder)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise Failed(
            f"{Path(command[0]).name} ended with {done.returncode}: {last}; "
            "if that is about the network, run `make audit` where https://pypi.org can be reached"
        ) from None
    return report


def _run(command: Sequence[str | Path], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failed(
            f"{command[0]} cannot be started ({error.strerror}): run `make setup`"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
