"""What lies in the photos' storage."""

from django.core.files.storage import default_storage


def stored_keys(folder: str = "") -> set[str]:
    """Return the keys of all files in the storage, or in one of its folders."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return set()
    prefix = f"{folder}/" if folder else ""
    return {f"{prefix}{name}" for name in files}.union(*(stored_keys(f"{prefix}{name}") for name in folders))
