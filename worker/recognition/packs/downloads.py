"""Download one file from an https address: never more than expected, never from an unchecked address."""

import ipaddress
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from worker.errors import PackDamaged, PackError

#: How long a server may stay silent.
TIMEOUT_SECONDS: Final = 30.0
_CHUNK_BYTES: Final = 1024 * 1024

#: Called with the number of bytes that have just arrived.
Advance = Callable[[int], object]


def download(url: str, target: Path, *, max_bytes: int, advance: Advance) -> None:
    """Download the address into the file, in chunks.

    Raises PackError (an address that is not allowed, no network, the server's refusal, an interrupted transfer) and
    PackDamaged (more than `max_bytes`).
    """
    _check_address(url)
    request = Request(url, headers={"User-Agent": "facequeue"})  # noqa: S310 - the address is checked
    try:
        with _opener(url).open(request, timeout=TIMEOUT_SECONDS) as answer, target.open("wb") as file:
            promised = answer.headers.get("Content-Length")
            size_bytes = copy(answer, file, max_bytes=max_bytes, advance=advance)
    except HTTPError as error:
        reason = str(error.reason).partition("\n")[0]
        raise PackError(f"{url} cannot be fetched: the server answers {error.code}, {reason}.") from error
    except (OSError, HTTPException) as error:
        raise PackError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}.") from error
    if promised and int(promised) != size_bytes:
        raise PackError(f"{url} was cut short in transit: {size_bytes} of {promised} bytes arrived.")


def copy(source: IO[bytes], target: IO[bytes], *, max_bytes: int, advance: Advance) -> int:
    """Copy everything and return the number of bytes; raises PackDamaged when there are more than `max_bytes`."""
    size_bytes = 0
    while chunk := source.read(_CHUNK_BYTES):
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise PackDamaged(f"There are more than the {max_bytes:,} bytes allowed for this pack or file.")
        target.write(chunk)
        advance(len(chunk))
    return size_bytes


class _SafeRedirects(HTTPRedirectHandler):
    """Follows no redirect to an address that is not allowed."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> OpenerDirector:
    """Return an opener for the address; a proxy from the environment is not used for servers on this machine."""
    return build_opener(_SafeRedirects, *([ProxyHandler({})] if _is_this_machine(url) else []))


def _check_address(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and _is_this_machine(url)):
        raise PackError(f"{url} is not allowed: packs are fetched by https, or by http from this machine only.")


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
