"""What every task of the records worker shares."""

from typing import Any, Final

from django.db import OperationalError

from tasks.errors import QueueUnavailable
from tasks.retry import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, MAX_RETRIES

RETRIED: Final[dict[str, Any]] = {
    "autoretry_for": (OperationalError, QueueUnavailable),
    "retry_backoff": FIRST_DELAY_SECONDS,
    "retry_backoff_max": LONGEST_DELAY_SECONDS,
    "max_retries": MAX_RETRIES,
    "ignore_result": True,
}
