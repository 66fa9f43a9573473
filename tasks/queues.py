"""Queue names in one place. A GPU queue carries its pack's name, so that workers of two packs live side by side."""

from typing import Final

RECORDS: Final = "records"


def search_queue(pack: str) -> str:
    return f"search.{pack}"


def index_queue(pack: str) -> str:
    return f"index.{pack}"


def gpu_queues(pack: str) -> tuple[str, str]:
    return search_queue(pack), index_queue(pack)


def all_queues(pack: str) -> tuple[str, ...]:
    return *gpu_queues(pack), RECORDS
