"""Which requests the door lets through: the addresses whose rules differ from those of all others."""

from dataclasses import replace
from typing import Final

from django.conf import settings

from tasks.dictionaries import FORM_BYTES, max_request_bytes
from webapp.http.routes import WITHOUT_BODY, Route, Routes

READING: Final = WITHOUT_BODY
FORM: Final = READING | {"POST"}
#: A name, a password and a token.
LOGIN_BYTES: Final = 16 * 1024


def largest_upload_bytes() -> int:
    size: int = settings.UPLOAD_MAX_BYTES
    return size


#: Strangers may send these, and nothing is asked about who sends them.
LOGIN: Final = Route(
    pattern=r"/login/(code/)?|/admin/login/|/password/.+|/sign-up/.*",
    methods=FORM,
    is_open=True,
    largest_bytes=lambda: LOGIN_BYTES,
)
MACHINES: Final = replace(LOGIN, pattern=r"/static/.*|/health/(live|ready)|/metrics", methods=READING)
QUERY: Final = Route(
    pattern="|".join(
        [
            r"/(galleries/[^/]+/)?search/",
            r"/api/v1/(galleries/[^/]+/)?searches",
            r"/api/v1/(verify|detect)",
            *settings.QUERY_IMAGE_PATHS,
        ]
    ),
    methods=FORM,
    kind="query image",
    largest_bytes=max_request_bytes,
)
PHOTOS: Final = Route(
    pattern=r"/galleries/[^/]+/photos/|/api/v1/galleries/[^/]+/photos",
    methods=FORM,
    kind="photos",
    largest_bytes=largest_upload_bytes,
)
#: A user who is logged in may send a form to any other address.
OTHER: Final = Route(largest_bytes=lambda: FORM_BYTES)

ROUTES: Final = Routes([LOGIN, MACHINES, QUERY, PHOTOS], other=OTHER)
