"""Whether answers can be written where they are to go, looked at before they cost anything."""

import tempfile
from pathlib import Path

from scaling.errors import UserError


def ready_folder(path: Path) -> None:
    """Makes a folder, unless it is there. Raises UserError where it cannot be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def ready_file(path: Path) -> None:
    """Makes the folder of a file. Raises UserError where the file cannot be written."""
    if path.is_dir():
        raise UserError(f"{path} is a folder, but the answers go to a file.")
    ready_folder(path.parent)
