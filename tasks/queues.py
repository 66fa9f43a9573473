"""Queue names in one place. A GPU queue carries its pack's name, so that workers of two packs live side by side."""

from typing import Final

RECORDS: Final = "records"


def search_queue(pack: str) -> str:
    return f"search.{pack}"


def index_queue(pack: str) -> str:
    return f"index.{pack}"


def reindex_queue(pack: str) -> str:
    return f"reindex.{pack}"


def gpu_queues(pack: str) -> tuple[str, str, str]:
    return search_queue(pack), index_queue(pack), reindex_queue(pack)


def is_known(queue: str) -> bool:
    """Return whether a role consumes this queue, whatever the pack."""
    _role, _, pack = queue.partition(".")
    return queue == RECORDS or (pack != "" and queue in gpu_queues(pack))


def needed_queues(pack: str) -> tuple[str, ...]:
    """Return the queues that must have a worker while the pack is the active generation's."""
    return search_queue(pack), index_queue(pack), RECORDS
