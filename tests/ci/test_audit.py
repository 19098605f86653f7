"""`make audit` fails for what it finds, and for what it could not look at."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
audit = SimpleNamespace(**runpy.run_path(str(ROOT / ".ci" / "audit.py")))


def test_unsafe_code_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    module = tmp_path / "part" / "module.py"
    module.write_text("import hashlib\n")
    assert "1 files, 1 lines" in audit.code(["part"], tmp_path)
    module.write_text("\n\nprint(eval(input()))\n")
    with pytest.raises(audit.Failed, match=r"module\.py:3: B307"):
        audit.code(["part"], tmp_path)


def test_code_that_is_not_there_or_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    with pytest.raises(audit.Failed, match="there is no code in part"):
        audit.code(["part"], tmp_path)
    (tmp_path / "part" / "module.py").write_text("def (")
    with pytest.raises(audit.Failed, match=r"read 0 of 1 files; not part.module\.py"):
        audit.code(["part"], tmp_path)


def test_the_bill_of_materials_has_the_packages_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sbom.json"
    assert "packages, written to" in audit.bill_of_materials(path)
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = {part["name"] for part in bill["components"]}
    assert {"flask", "celery", "sqlalchemy", "matplotlib"} <= names
    assert not {"pytest", "schemathesis"} & names


FINE = {"name": "flask", "version": "3.1.0", "vulns": []}
SKIPPED = {"name": "celery", "skip_reason": "Dependency not found on PyPI"}
HOLE = FINE | {"vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.1"]}]}


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([HOLE], r"flask 3\.1\.0: PYSEC-1, mended in 3\.1\.1"),
        ([FINE, SKIPPED], r"1 of 2 packages \(not celery, …\): run `make audit` where https"),
        ([FINE], "1 of 2 packages"),
        ([], "0 of 2 packages"),
    ],
)
def test_a_package_that_was_not_looked_up_is_no_success(
    found: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(audit.Failed, match=sentence):
        audit.check_packages({"dependencies": found}, {"flask", "celery"})


def test_packages_that_were_all_looked_up_are() -> None:
    audit.check_packages({"dependencies": [FINE]}, {"flask"})
    with pytest.raises(audit.Failed, match="0 of 0"):
        audit.check_packages({"dependencies": []}, set())
