"""What the web makes of a result that Celery stored."""

import json

import pytest
from celery.exceptions import TaskRevokedError

from tasks.app import app
from tasks.errors import SearchExpired
from tasks.messages.search import SearchResult
from tasks.web.search_client import _answer


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        pytest.param(
            "waited 31.3 s for a worker, and may wait 30 s at most",
            "This search waited 31.3 s for a worker, and may wait 30 s at most. Please try again.",
            id="by our request",
        ),
        pytest.param("expired", "This search expired. Please try again.", id="by Celery's own"),
    ],
)
def test_an_expired_search_says_why(reason: str, sentence: str) -> None:
    stored = app.backend.prepare_exception(TaskRevokedError(reason), "json")
    result = _answer({"status": "REVOKED", "result": json.loads(json.dumps(stored))}, SearchResult)
    assert result.error is not None
    assert (result.error.code, result.error.message) == (SearchExpired.code, sentence)
