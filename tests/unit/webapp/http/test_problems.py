"""An answer's status and its Retry-After follow the class of the error."""

import pytest

from tasks.messages.base import ErrorInfo
from tests.error_classes import ERROR_CLASSES
from webapp.http.problems import RETRY_AFTER_SECONDS, Problem
from worker.errors import FaceQueueError


@pytest.mark.parametrize("kind", ERROR_CLASSES)
@pytest.mark.parametrize("way", ["raised here", "told by a worker"])
def test_a_problem_has_what_its_error_class_says(kind: type[FaceQueueError], way: str) -> None:
    if way == "raised here":
        problem = Problem.from_error(kind())
    else:
        problem = Problem.from_info(ErrorInfo(code=kind.code, message=kind.sentence))

    assert (problem.code, problem.message, problem.status) == (kind.code, kind.sentence, kind.status)
    if kind.retryable:
        assert RETRY_AFTER_SECONDS[0] <= (problem.retry_after_seconds or 0) <= RETRY_AFTER_SECONDS[1]
    else:
        assert problem.retry_after_seconds is None


def test_a_code_of_a_later_release_is_an_error_of_ours() -> None:
    problem = Problem.from_info(ErrorInfo(code="of_a_later_release", message="One sentence."))

    assert (problem.code, problem.status, problem.retry_after_seconds) == ("of_a_later_release", 500, None)
