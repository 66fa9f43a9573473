"""Task names. Callers know names; only workers import task bodies."""

from typing import Final

SEARCH_FACES: Final = "search_faces"
INDEX_PHOTOS: Final = "index_photos"
REMOVE_PHOTOS: Final = "remove_photos"
COPY_FACES: Final = "copy_faces"
MEASURE_COLLECTION: Final = "measure_collection"
DROP_COLLECTION: Final = "drop_collection"
CHECK_FACES: Final = "check_faces"
FIND_STRAYS: Final = "find_strays"
SAMPLE_RECALL: Final = "sample_recall"

CANARY: Final = "canary"

# Database tasks, run by the records worker (webapp/*/tasks.py)
RECORD_OUTCOMES: Final = "record_outcomes"
RECORD_REMOVALS: Final = "record_removals"
RECORD_INDEX_FAILURE: Final = "record_index_failure"
RECORD_COPY: Final = "record_copy"
RECORD_MEASUREMENT: Final = "record_measurement"
RECORD_DROP: Final = "record_drop"
RECORD_CHECK: Final = "record_check"
ASK_FOR_RECALL: Final = "ask_for_recall"
ADVANCE_GENERATIONS: Final = "advance_generations"
WATCH_MATCH_RECALL: Final = "watch_match_recall"
FEED_INDEX_QUEUE: Final = "feed_index_queue"
REQUEUE_STALE_PHOTOS: Final = "requeue_stale_photos"
RECORDS_CANARY: Final = "records_canary"
DELETE_FACELESS_PEOPLE: Final = "delete_faceless_people"
PURGE_SESSIONS: Final = "purge_sessions"
PURGE_JOBS: Final = "purge_jobs"
RECOUNT_USAGE: Final = "recount_usage"
