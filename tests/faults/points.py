"""Points in a process's code at which a test strikes, armed by files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "GRADSERVE_TEST_POINTS"
PAGES = "pages"
ALL_PAGES = 2**32 - 2


class Points:
    """The points of one test. A process with `environ` in its environment looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.environ = {FOLDER: str(folder)}

    def arm(self, point: str, action: str) -> None:
        """Lets the first process that reaches the point perform the action, once."""
        draft = self.folder / f"{point}.draft"
        draft.write_text(action)
        draft.rename(self.folder / point)

    def taken(self, point: str) -> list[int]:
        """The processes that reached the point while it was armed."""
        return [int(file.suffix[1:]) for file in self.folder.glob(f"{point}.taken.*")]

    def limit_pages(self, pages: int | None) -> None:
        """SQLite: the file may not grow beyond N pages, as on a full disk."""
        if pages is None:
            (self.folder / PAGES).unlink()
        else:
            (self.folder / PAGES).write_text(str(pages))

    def clear(self) -> None:
        """Forgets all armed points and who reached them."""
        for file in self.folder.iterdir():
            file.unlink()


def take(point: str) -> str | None:
    """The action at this point; None if there is none or another process was faster."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return None
    armed = Path(folder) / point
    try:
        # Read first, because a file that was taken may be deleted at any moment.
        action = armed.read_text()
        armed.rename(Path(folder) / f"{point}.taken.{os.getpid()}")
    except FileNotFoundError:
        return None
    return action


def page_limit() -> int:
    """The number of pages that an SQLite file may have."""
    try:
        return int((Path(os.environ[FOLDER]) / PAGES).read_text())
    except FileNotFoundError:
        return ALL_PAGES
