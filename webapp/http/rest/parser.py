"""How the API reads bodies and parameters: JSON as RFC 8259 has it, and text that every database can hold."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser

from webapp.http.errors.kinds import json_wanted
from webapp.http.problems import Problem

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
#: What a request with JSON says its body is. A client that says nothing is believed.
JSON_TYPES: Final = frozenset({"application/json", ""})


class StrictParser(Parser):
    """Raises Problem for what is not JSON, and for text with NUL or half of a surrogate pair."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type not in JSON_TYPES:
            raise json_wanted()
        try:
            found = json.loads(request.body.decode(), parse_constant=_no_number, object_pairs_hook=_members)
            # JSON in UTF-8 has neither half of a pair nor NUL, except as an escape.
            if b"\\u" in request.body:
                _check_texts(_texts_in(found))
        except (ValueError, RecursionError):
            raise Problem("bad_body", "The body is not JSON in UTF-8.", status=400) from None
        return found

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        """Return the members of a query, of a form, or of its files, whose names are cleaned elsewhere.

        A query's empty values count as not given: the default holds.
        """
        _check_texts(each for name, values in data.lists() for each in (name, *values) if isinstance(each, str))
        return super().parse_querydict(_filled(data) if data is request.GET else data, list_fields, request)


def _filled(query: MultiValueDict[str, Any]) -> MultiValueDict[str, Any]:
    filled = {name: [value for value in values if value] for name, values in query.lists()}
    return MultiValueDict({name: values for name, values in filled.items() if values})


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts_in(member)
    elif isinstance(value, list):
        for each in value:
            yield from _texts_in(each)


def _check_texts(texts: Iterable[str]) -> None:
    """Raise Problem for a text that no database can hold."""
    if any(_UNSTORABLE.search(text) for text in texts):
        sentence = "A text of this request has characters that are none: NUL or half of a surrogate pair."
        raise Problem("bad_characters", sentence, status=400)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises Problem when it names a member twice: readers differ in which one counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Problem("repeated_parameter", "The JSON of this request names a member twice.", status=422)
    return members


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")
