"""Flower, the dashboard of the queues: who may log in on this machine."""

from pathlib import Path
from typing import Final

from webapp.operations.private_files import kept_secret

FLOWER_USER: Final = "admin"


def flower_password(data_dir: Path) -> str:
    """Return Flower's password on this machine."""
    return kept_secret(_password_file(data_dir), length_bytes=12)


def kept_password_file(data_dir: Path) -> Path | None:
    """Return the file with that password; None if Flower has another one, because it was not started by us here."""
    file = _password_file(data_dir)
    return file if file.exists() else None


def _password_file(data_dir: Path) -> Path:
    return data_dir / "flower_password"
