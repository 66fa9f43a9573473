"""Files that are nobody else's on this machine: the data directory, and the secrets that are generated in it.

Sessions' keys, photos and faces lie there. So every process that reads the settings has a umask of 077, and the
directory is closed to others, whatever is in it already.
"""

import fcntl
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

#: New files and folders are for their owner alone.
UMASK: Final = 0o077


def private_folder(path: Path) -> Path:
    """Make the folder if it is missing, close it to others if it is this user's, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # somebody else's, such as a volume of a container: `doctor` says what is wrong
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~UMASK)
    return path


def is_private(path: Path) -> bool:
    """Tell whether nobody but its owner may look into the folder."""
    return not stat.S_IMODE(path.stat().st_mode) & UMASK


def kept_secret(path: Path, *, length_bytes: int) -> str:
    """Return the secret kept at `path`. Whoever calls first generates it; only its owner may read it.

    Processes take turns with a lock on the file. So each reads a whole secret, and all of them the same one. A file
    that a power failure has left empty gets one, too.
    """
    private_folder(path.parent)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (secret := file.read()):
            secret = secrets.token_urlsafe(length_bytes)
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
    return secret
