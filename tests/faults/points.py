"""Points in a process's code at which a test strikes, armed by files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "GRADSERVE_TEST_POINTS"
PAGES = "pages"
ALL_PAGES = 2**32 - 2


class Points:
    """The points of one test. `environ` makes a process look at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.environ = {FOLDER: str(folder)}

    def arm(self, point: str, action: str) -> None:
        """The first process to come to the point does it, once."""
        draft = self.folder / f"{point}.draft"
        draft.write_text(action)
        draft.rename(self.folder / point)

    def taken(self, point: str) -> list[int]:
        """The processes that came to the point while it was armed."""
        return [int(file.suffix[1:]) for file in self.folder.glob(f"{point}.taken.*")]

    def limit_pages(self, pages: int | None) -> None:
        """SQLite: the file may not grow beyond N pages, as on a full disk."""
        if pages is None:
            (self.folder / PAGES).unlink()
        else:
            (self.folder / PAGES).write_text(str(pages))

    def clear(self) -> None:
        """Forgets what was armed and taken."""
        for file in self.folder.iterdir():
            file.unlink()


def take(point: str) -> str | None:
    """What to do at this point; None when nothing, or when another process was faster."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return None
    armed = Path(folder) / point
    try:
        # Read first: a file that was taken may be cleared away at any moment.
        action = armed.read_text()
        armed.rename(Path(folder) / f"{point}.taken.{os.getpid()}")
    except FileNotFoundError:
        return None
    return action


def page_limit() -> int:
    """How many pages an SQLite file may have."""
    try:
        return int((Path(os.environ[FOLDER]) / PAGES).read_text())
    except FileNotFoundError:
        return ALL_PAGES
