"""Management commands: sentences instead of tracebacks."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError

from webapp.http.problems import Problem
from worker.errors import FaceQueueError


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn expected failures into one sentence and a non-zero exit status."""
    try:
        yield
    except Problem as problem:
        raise CommandError(problem.message) from None
    except FaceQueueError as error:
        raise CommandError(str(error) or f"The face search failed ({error.code}).") from None
    except DatabaseError as error:
        raise CommandError(
            f"The database does not answer as expected ({error}). Is it running, and is it migrated "
            "(`python manage.py migrate`)?"
        ) from None
