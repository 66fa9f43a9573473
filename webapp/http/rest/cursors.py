"""Lists in parts: each ends with a cursor, where the next one begins.

A cursor holds the values that the last row is sorted by. So a list neither skips nor repeats a row when others are
added or deleted meanwhile, and its last part costs no more than its first ("keyset pagination").
"""

import base64
import json
from typing import Annotated, Any, Final, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
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
    after = _after(rows.model, order, cursor) if cursor else Q()
    found = list(rows.filter(after).order_by(*order)[: limit + 1])
    if len(found) <= limit:
        return found, None
    return found[:limit], _cursor_at(found[limit - 1], order)


def _cursor_at(row: Model, order: tuple[str, ...]) -> str:
    # As fields write themselves: JSON's encoder would cut times to milliseconds, and the row would follow itself.
    values = [_column(type(row), field).value_to_string(row) for field in order]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return _signer(type(row), order).sign(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


def _after(model: type[Model], order: tuple[str, ...], cursor: str) -> Q:
    """Return the condition of the rows after a cursor. Raises Problem for one that this list did not make."""
    try:
        text = _signer(model, order).unsign(cursor)
    except BadSignature:
        raise Problem("bad_cursor", "The cursor is not one of this list.", status=422) from None
    texts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    values = [_column(model, field).to_python(text) for field, text in zip(order, texts, strict=True)]
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


def _column(model: type[Model], field: str) -> Any:
    return model._meta.get_field(field.removeprefix("-"))
