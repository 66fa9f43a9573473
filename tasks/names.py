"""Task names. Callers know names; only workers import task bodies."""

from typing import Final

SEARCH_FACES: Final = "search_faces"
INDEX_PHOTOS: Final = "index_photos"
REMOVE_PHOTOS: Final = "remove_photos"

CANARY: Final = "canary"

# Database tasks, run by the records worker (webapp/*/tasks.py)
RECORD_OUTCOMES: Final = "record_outcomes"
RECORD_REMOVALS: Final = "record_removals"
RECORD_INDEX_FAILURE: Final = "record_index_failure"
FEED_INDEX_QUEUE: Final = "feed_index_queue"
REQUEUE_STALE_PHOTOS: Final = "requeue_stale_photos"
RECORDS_CANARY: Final = "records_canary"
PURGE_SESSIONS: Final = "purge_sessions"
PURGE_JOBS: Final = "purge_jobs"
