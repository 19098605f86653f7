"""Files that are downloaded from the service."""

from __future__ import annotations

from pathlib import Path

from gradserve.errors import ClientError

FORMATS = {".safetensors": "safetensors", ".onnx": "onnx", ".json": "json", ".py": "python"}
"""The format of a trained network by the ending of its file."""


def format_of(path: Path) -> str:
    """The format that the ending of a file's name means; ClientError where it means none."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        endings = ", ".join(FORMATS)
        raise ClientError(f"the name {path.name!r} must end with one of {endings}")
    return found


def picture_format(kind: str, path: Path) -> str | None:
    """The format of a picture by the ending of its file; None where it is SVG.

    Raises ClientError where there is no such picture.
    """
    ending = path.suffix.lower()
    if ending == ".svg":
        return None
    if kind == "graph" and ending in (".dot", ".json"):
        return ending[1:]
    allowed = ".svg, .dot or .json" if kind == "graph" else ".svg"
    raise ClientError(f"the name {path.name!r} must end with {allowed}")


def write(path: Path, data: bytes) -> Path:
    """Writes a file, as a whole or not at all. ClientError where that fails."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ClientError(f"cannot write {path}: {error.strerror}") from None
    return path
