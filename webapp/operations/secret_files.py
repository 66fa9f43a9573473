"""Secrets that this machine generates and keeps in the data directory."""

import secrets
from pathlib import Path


def kept_secret(path: Path, *, length_bytes: int) -> str:
    """Return the secret kept at `path`. The first call generates it; only its owner may read it."""
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(secrets.token_urlsafe(length_bytes))
        return path.read_text()
