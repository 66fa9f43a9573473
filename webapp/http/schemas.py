"""What several APIs share: schemas, and the numbers that they take.

Numbers from outside are finite and bounded; forms and commands take these types, too. The environment has bounds of its
own (webapp/config/environment.py), and so have the settings dictionaries (worker/settings.py).
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Input should be between the years 1 and 9999") from None


#: From one photo in 100 seconds to more than any number of workers can index.
PhotosPerSecond = Annotated[float, Field(ge=0.01, le=10_000, allow_inf_nan=False)]
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


#: A time as a parameter. It has a time zone, and fits into the databases' calendar in any other.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
#: An id in a JSON body, where it is a string.
Id = Annotated[UUID, Field(strict=False)]


class JsonIn(BaseModel):
    """The JSON body of a request. Unknown fields are refused, and so are other types: "5" and true are no numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


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
