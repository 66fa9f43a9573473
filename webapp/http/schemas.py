"""Schemas shared by several APIs."""

from typing import Annotated

from ninja import Query, Schema

Page = Annotated[int, Query(ge=1)]


class ErrorOut(Schema):
    code: str
    message: str


class BoxOut(Schema):
    """Pixels of the upright picture."""

    left: float
    top: float
    right: float
    bottom: float
