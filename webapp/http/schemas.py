"""Schemas shared by several APIs."""

from ninja import Schema

from webapp.http.numbers import PageNumber

Page = PageNumber


class ErrorOut(Schema):
    code: str
    message: str


class BoxOut(Schema):
    """Pixels of the upright picture."""

    left: float
    top: float
    right: float
    bottom: float
