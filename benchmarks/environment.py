"""The environment of a benchmark that runs the whole service, or what the set-up has fetched."""

import os
from pathlib import Path

import django

_ROOT = Path(__file__).resolve().parent.parent


def packs_dir() -> Path:
    """Return the folder with the packs that the set-up has fetched: FACE_PACKS_DIR, by default var/packs."""
    return Path(os.environ.get("FACE_PACKS_DIR") or _ROOT / "var" / "packs").absolute()


def carriers_dir() -> Path:
    """Return the folder with the Python packages that carry models and photos: FACEQUEUE_CARRIERS, or var/carriers."""
    return Path(os.environ.get("FACEQUEUE_CARRIERS") or _ROOT / "var" / "carriers")


def use_folder(folder: Path, **variables: str) -> None:
    """Let this process, and the service that it starts, keep their state in the folder and listen on free ports.

    They must agree on where things are before Django reads its settings, which this does. `variables` are more
    environment variables for both. The packs stay where they are: a benchmark only reads them.
    """
    from tests.ports import free_port_block

    os.environ["FACE_PACKS_DIR"] = str(packs_dir())
    os.environ["FACEQUEUE_DATA_DIR"] = str(folder)
    os.environ["PORT"] = str(free_port_block())
    os.environ.update(variables)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
