"""Reading a photo's file, wherever it is stored."""

from collections.abc import Callable

from worker.errors import PhotoMissing, PhotoStorageUnavailable


def photo_bytes(read: Callable[[], bytes]) -> bytes:
    """Return what `read` returns.

    Raises PhotoMissing when the file is gone, PhotoStorageUnavailable when the storage is in trouble, PhotoWithdrawn
    if `read` does.
    """
    try:
        return read()
    except FileNotFoundError:
        raise PhotoMissing from None
    except OSError as error:
        raise PhotoStorageUnavailable("The storage of the photos cannot be read at the moment.") from error
