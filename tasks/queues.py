"""Queue names in one place. A GPU queue carries its pack's name, so that workers of two packs live side by side."""

from enum import IntEnum
from typing import Final

from tasks import roles

RECORDS: Final = roles.RECORDS.queue("")


class Priority(IntEnum):
    """The order within a queue: workers take all messages of a lower number first, and equal ones in turn.

    With Redis, 0 is the highest priority, and kombu keeps a list for each of the steps 0, 3, 6 and 9.
    """

    FIRST = 0
    SOON = 3
    NORMAL = 6


def search_queue(pack: str) -> str:
    return roles.SEARCH.queue(pack)


def index_queue(pack: str) -> str:
    return roles.INDEX.queue(pack)


def reindex_queue(pack: str) -> str:
    return roles.REINDEX.queue(pack)


def gpu_queues(pack: str) -> tuple[str, ...]:
    """Return the queues of the workers that hold the pack."""
    return tuple(role.queue(pack) for role in roles.PACK_ROLES)


def is_known(queue: str) -> bool:
    """Return whether a role consumes this queue, whatever the pack."""
    _name, _, pack = queue.partition(".")
    return any(queue == role.queue(pack) and bool(pack) == role.needs_pack for role in roles.ROLES)


def required_queues(pack: str) -> tuple[str, ...]:
    """Return the queues that must have a healthy worker while the pack is the active generation's."""
    return tuple(role.queue(pack) for role in roles.ROLES if role.is_required)
