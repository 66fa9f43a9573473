"""Lists in parts: each ends with a cursor, where the next one begins.

A cursor holds the values that the last row is sorted by. So a list neither skips nor repeats a row when others are
added or deleted meanwhile, and its last part costs no more than its first ("keyset pagination").
"""

import base64
import json
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import GeneratedField, Model, Q, QuerySet
from ninja import Field, Query

from webapp.http.problems import Problem

MOST_ITEMS: Final = 500
#: A file name of 255 characters, four bytes each, in base 64; and room for the rest.
LONGEST_CURSOR: Final = 2000

# The defaults are said twice: beside bounds, ninja would lose those of the signature.
Limit = Annotated[
    Annotated[int, Field(ge=1, le=MOST_ITEMS)], Query(100, description=f"Most items, at most {MOST_ITEMS}.")
]
Cursor = Annotated[
    Annotated[str, Field(max_length=LONGEST_CURSOR)],
    Query("", description="The `next_cursor` of the part before; by default, the list begins."),
]

Row = TypeVar("Row", bound=Model)


def part_of(rows: QuerySet[Row], *, order: tuple[str, ...], cursor: str, limit: int) -> tuple[list[Row], str | None]:
    """Return the rows after the cursor, at most `limit`, and the cursor of what comes next; None at the end.

    `order` names fields of the rows, descending with "-", as `order_by` does; no two rows may have the same values of
    all of them, and none may be null. Raises Problem (`bad_cursor`).
    """
    after = _beyond(order, _values_in(cursor, rows.model, order)) if cursor else Q()
    found = list(rows.filter(after).order_by(*order)[: limit + 1])
    if len(found) <= limit:
        return found, None
    return found[:limit], _cursor_at(found[limit - 1], order)


def neighbours_of(row: Row, rows: QuerySet[Row], *, order: tuple[str, ...]) -> tuple[Row | None, Row | None]:
    """Return the rows before and after a row in an order as `part_of` takes it; None at either end.

    The row itself need not be among the rows.
    """
    values = _values_of(row, order)
    before, after = (rows.filter(_beyond(way, values)).order_by(*way).first() for way in (_reversed(order), order))
    return before, after


def cursor_before(row: Row, rows: QuerySet[Row], *, order: tuple[str, ...], count: int) -> str:
    """Return the cursor with which the list begins `count` rows before a row; "" if there are not more before it."""
    backwards = _reversed(order)
    earlier = rows.filter(_beyond(backwards, _values_of(row, order))).order_by(*backwards)[count : count + 1]
    return "".join(_cursor_at(each, order) for each in earlier)


def _cursor_at(row: Model, order: tuple[str, ...]) -> str:
    # As fields write themselves: JSON's encoder would cut times to milliseconds, and the row would follow itself.
    values = [_text_of(row, field) for field in order]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return _signer(type(row), order).sign(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


def _values_in(cursor: str, model: type[Model], order: tuple[str, ...]) -> list[Any]:
    """Return the values in a cursor. Raises Problem for one that this list did not make."""
    try:
        text = _signer(model, order).unsign(cursor)
    except BadSignature:
        raise Problem("bad_cursor", "The cursor is not one of this list.", status=422) from None
    texts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return [_column(model, field).to_python(text) for field, text in zip(order, texts, strict=True)]


def _values_of(row: Model, order: tuple[str, ...]) -> list[Any]:
    return [getattr(row, field.removeprefix("-")) for field in order]


def _reversed(order: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field[1:] if field.startswith("-") else f"-{field}" for field in order)


def _beyond(order: tuple[str, ...], values: list[Any]) -> Q:
    """Return the condition of the rows that come after the one with these values."""
    # An index finds the first row by the bound of the first field, which the rest implies.
    name, comparison = (order[0][1:], "lte") if order[0].startswith("-") else (order[0], "gte")
    bound, after, same = Q(**{f"{name}__{comparison}": values[0]}), Q(), Q()
    for field, value in zip(order, values, strict=True):
        name, comparison = (field[1:], "lt") if field.startswith("-") else (field, "gt")
        after |= same & Q(**{f"{name}__{comparison}": value})
        same &= Q(**{name: value})
    return bound & after


def _signer(model: type[Model], order: tuple[str, ...]) -> Signer:
    """Return what signs the cursors of a list: nobody can invent one, and none is that of another list."""
    return Signer(salt=f"{__name__} {model._meta.model_name} {' '.join(order)}")


def _text_of(row: Model, field: str) -> str:
    value = getattr(row, field.removeprefix("-"))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _column(model: type[Model], field: str) -> Any:
    """Return the field that reads its values from text: a generated one leaves that to the one it is stored as."""
    column: Any = model._meta.get_field(field.removeprefix("-"))
    return column.output_field if isinstance(column, GeneratedField) else column
