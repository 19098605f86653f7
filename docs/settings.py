"""`make docs`: writes the table of settings in operations.md from service/common/settings.py."""

from __future__ import annotations

import re
from pathlib import Path

from service.common.settings import table

PAGE = Path(__file__).with_name("operations.md")
PLACE = re.compile(r"(<!-- settings:.*? -->\n).*?(<!-- end of settings -->)", re.DOTALL)


def with_table(page: str) -> str:
    """The page with the current table of settings."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for row in table():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.variable}` | {default} | {row.help} |")
    text = "\n".join(rows)
    return PLACE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
