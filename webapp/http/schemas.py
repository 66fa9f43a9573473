"""What several APIs share: schemas, and the numbers that they take.

Numbers from outside are finite and bounded; forms and commands take these types, too. The environment has bounds of its
own (webapp/config/environment.py), and so have the settings dictionaries (worker/settings.py).
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import TypeAdapter, ValidationError

#: More than any number of workers can index.
PhotosPerSecond = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
#: A day at most.
Seconds = Annotated[float, Field(ge=0, le=24 * 3600, allow_inf_nan=False)]
#: From now on; ten years at most.
Days = Annotated[int, Field(ge=1, le=3650)]
#: On the scale of a pack.
Similarity = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
MatchCount = Annotated[int, Field(ge=1, le=1000)]
#: Of a list, from 1 on.
Page = Annotated[int, Field(ge=1, le=1_000_000)]
#: A row's number: what fits into the column of its primary key.
RowNumber = Annotated[int, Field(ge=1, le=2**63 - 1)]
#: Parameters of an index, by name; which ones it takes, and how large, CollectionConfig says.
IndexParameters = Annotated[dict[str, Annotated[int, Field(ge=-1, le=2**31 - 1)]], Field(max_length=20)]


class ErrorOut(Schema):
    """What was wrong with one thing of several: a stable code and a sentence."""

    code: str
    message: str


class ProblemOut(Schema):
    """Why a request was not answered as asked (RFC 9457). `code` is stable; `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class BoxOut(Schema):
    """Pixels of the upright picture."""

    left: float
    top: float
    right: float
    bottom: float


def argument(kind: Any) -> Callable[[str], Any]:
    """Return what reads a command's argument as one of the types above; for `type=` of `add_argument`."""
    adapter = TypeAdapter(kind)

    def read(text: str) -> Any:
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            raise ArgumentTypeError(rule(error)) from None

    return read


def rule(error: ValidationError) -> str:
    """Say what the first value that was refused must be, as the end of a sentence."""
    return str(error.errors()[0]["msg"]).replace("Input should", "must")
