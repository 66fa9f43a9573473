"""One class per error: its code is its own, and it says what a caller should do."""

import subprocess
import sys

import pytest

from tasks import errors as queue_errors
from tests.error_classes import ERROR_CLASSES
from worker import errors
from worker.errors import Busy, FaceQueueError, error_class
from worker.vector_search import exceptions as store_errors

TREES = {module.__name__: module for module in (errors, store_errors, queue_errors)}


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_a_class_is_found_by_its_code_and_has_a_sentence_for_a_person(kind: type[FaceQueueError]) -> None:
    assert error_class(kind.code) is kind
    assert "code" in vars(kind)
    assert "sentence" in vars(kind)
    assert str(kind()) == kind.sentence
    assert str(kind("In the first picture: none.")) == "In the first picture: none."
    assert kind.sentence.endswith(".")


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_only_what_a_service_may_get_over_is_retryable(kind: type[FaceQueueError]) -> None:
    assert not kind.retryable or kind.status in (503, 504)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in ERROR_CLASSES]
    assert len(codes) == len(set(codes))


def test_a_second_class_with_a_code_is_refused() -> None:
    with pytest.raises(TypeError, match="'busy' is that of Busy"):
        type("AlsoBusy", (FaceQueueError,), {"code": "busy"})
    with pytest.raises(TypeError, match="BusyToo needs a code of its own"):
        type("BusyToo", (Busy,), {})
    assert error_class("busy") is Busy


def test_an_unknown_code_is_an_error_of_ours() -> None:
    assert error_class("of_a_later_release") is FaceQueueError


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_the_tree_of_its_module_names_the_class(kind: type[FaceQueueError]) -> None:
    tree = (TREES[kind.__module__].__doc__ or "").splitlines()
    assert any(line.strip(" *+-").startswith(kind.__name__) for line in tree)


def test_a_module_that_only_looks_up_codes_loads_no_heavy_module() -> None:
    code = "import sys, tasks.errors, worker.vector_search.exceptions; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
