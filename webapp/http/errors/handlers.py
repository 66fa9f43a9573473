"""What Django calls for requests that fail outside a view; webapp/config/urls.py and the settings name these."""

import logging
import sys

from django.http import HttpRequest, HttpResponse

from webapp.http.errors.answers import answer, answer_to
from webapp.http.errors.kinds import internal
from webapp.http.problems import Problem
from webapp.http.request_ids import shown_path

logger = logging.getLogger(__name__)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django answers with 400, 403 or 404."""
    return answer_to(request, exception) or failed(request)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer a request of which no view could make anything; called while the error is handled."""
    error = sys.exc_info()[1]
    response = answer_to(request, error) if error is not None else None
    if response is not None:
        return response
    logger.error("%s %s failed.", request.method, shown_path(request.path), exc_info=error)
    return answer(request, internal())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid token."""
    sentence = "This form has expired, or your browser blocks cookies. Please go back and send it again."
    return answer(request, Problem("csrf", sentence, status=403))
