"""Parts of a file (RFC 9110 section 14)."""

import re
from datetime import datetime
from typing import Final

from django.http import HttpRequest
from django.utils.http import parse_http_date_safe

#: One part, by its first and last byte: `bytes=0-499`, `bytes=500-`, or the last ones: `bytes=-500`. Of a header with
#: several parts, or one that is none, nothing is taken: the whole file answers it, as the standard allows.
_ONE_PART: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


class NoSuchPart(Exception):
    """The part begins behind the end of the file."""


def part_wanted(request: HttpRequest, *, size: int, etag: str, last_modified: datetime | None) -> range | None:
    """Return the bytes that a GET asks for; None for the whole file, which HEAD is always about. Raises NoSuchPart.

    With If-Range, the part is wanted only if the file is still the one that the client has the rest of.
    """
    found = _ONE_PART.fullmatch(request.headers.get("Range", ""))
    if request.method == "HEAD" or found is None or not any(found.groups()):
        return None
    same_as = request.headers.get("If-Range")
    if same_as is not None and same_as != etag and not _is_moment(same_as, last_modified):
        return None
    first, last = found.groups()
    if not first:
        begin, end = size - min(int(last), size), size
    else:
        begin, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < begin:
            return None  # not a range
    if begin >= size:
        raise NoSuchPart
    return range(begin, end)


def _is_moment(text: str, moment: datetime | None) -> bool:
    return moment is not None and parse_http_date_safe(text) == int(moment.timestamp())
