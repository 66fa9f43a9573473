"""Random tokens: whoever has one may do something. Each is shown once, and only its hash is stored."""

import hashlib
import secrets
from typing import Final

#: 256 random bits make 43 letters. Log lines shorten so long a part of a path (webapp/http/request_ids.py).
RANDOM_BYTES: Final = 32


def link_token() -> str:
    """Return a new token for the address of a link."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def digest_of(token: str) -> str:
    """Return the SHA-256, in hexadecimal. Nobody guesses so many random bits, so a fast hash is safe to store."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
