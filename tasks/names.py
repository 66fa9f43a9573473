"""Task names. Callers know names; only workers import task bodies."""

from typing import Final

SEARCH_FACES: Final = "search_faces"
INDEX_PHOTOS: Final = "index_photos"
REMOVE_PHOTOS: Final = "remove_photos"

# Database tasks, run by the records worker (webapp/*/tasks.py)
RECORD_OUTCOMES: Final = "record_outcomes"
RECORD_REMOVALS: Final = "record_removals"
REQUEUE_STALE_PHOTOS: Final = "requeue_stale_photos"
