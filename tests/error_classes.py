"""Every error class of facequeue."""

from collections.abc import Iterator

import tasks.errors  # noqa: F401
import worker.vector_search.exceptions  # noqa: F401  its classes are counted, too
from worker.errors import FaceQueueError


def _family(root: type[FaceQueueError]) -> Iterator[type[FaceQueueError]]:
    yield root
    for each in root.__subclasses__():
        yield from _family(each)


ERROR_CLASSES = tuple(_family(FaceQueueError))
