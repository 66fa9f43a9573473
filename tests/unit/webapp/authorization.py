"""The authorization matrix: who may use which address, by which method. Every one of them has a row.

A row says the method and the address, who may, for the API the scope that a key needs, and what the answer is then.
All others are refused, in the same way everywhere: `test_authorization.py` says how, and who they are. Add a line per
endpoint; parameters of the address get their values from `World` there.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from webapp.accounts.callers import Scope

#: Who may use an address. ANYBODY: strangers, too; USER: who is logged in; VIEWER, EDITOR and OWNER: who has at least
#: this level in the gallery; STAFF: any of the staff; PERMITTED: staff with a permission; NOBODY: it leads nowhere.
ANYBODY, USER, VIEWER, EDITOR, OWNER, STAFF, PERMITTED, NOBODY = (
    "anybody",
    "user",
    "viewer",
    "editor",
    "owner",
    "staff",
    "permitted",
    "nobody",
)
READ, WRITE, SEARCH, ADMIN = Scope.READ, Scope.WRITE, Scope.SEARCH, Scope.ADMIN

#: Stands for an uploaded file in a form.
FILE: Final = object()


@dataclass(frozen=True, kw_only=True)
class Row:
    method: str
    path: str
    who: str
    #: The statuses of an answer to those who may.
    ok: frozenset[int]
    #: None: a page, which takes no keys.
    scope: Scope | None = None
    #: A valid body: a form, or a value that is sent as JSON.
    form: dict[str, Any] = field(default_factory=dict)
    json: Any = None
    #: Other statuses for callers by their names in `World.callers`, where the rule is another one.
    others: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def page(what: str, who: str, *ok: int, others: dict[str, int] | None = None, **form: Any) -> Row:
    method, path = what.split()
    statuses = frozenset(ok or ({200} if method == "GET" else {302}))
    return Row(method=method, path=path, who=who, ok=statuses, form=form, others=others or {})


def api(
    what: str,
    who: str,
    scope: Scope,
    *ok: int,
    json: Any = None,
    form: dict[str, Any] | None = None,
    others: dict[str, int] | None = None,
) -> Row:
    method, path = what.split()
    return Row(
        method=method,
        path="/api/v1" + path,
        who=who,
        scope=scope,
        ok=frozenset(ok or {200}),
        json=json,
        form=form or {},
        others=others or {},
    )


ROWS: Final = [
    # -- accounts
    page("GET /login/", ANYBODY, 200, 302),
    page("POST /login/", ANYBODY, 200, 302),
    page("POST /logout/", ANYBODY),
    page("GET /password/{user_code}/{token}/", ANYBODY, 404),
    page("POST /password/{user_code}/{token}/", ANYBODY, 404),
    page("GET /account/", USER),
    page("POST /account/", USER, time_zone="UTC", theme=""),
    page("GET /account/password/", USER),
    page("POST /account/password/", USER, 200),
    page("GET /account/sessions/", USER),
    page("POST /account/sessions/{session_id}/end/", USER),
    page("GET /account/delete/", USER),
    page("POST /account/delete/", ANYBODY, others={"superuser": 409}),  # leads to the log-in also those who may
    page("GET /account/keys/", USER),
    page("POST /account/keys/", USER, 200, name="backup", scopes="read", reach="all", expires="90"),
    page("POST /account/keys/{key_id}/revoke/", USER),
    # -- galleries
    page("GET /", USER),
    page("POST /", USER, name="Another"),
    page("GET /galleries/{gallery_id}/", VIEWER),
    page("GET /galleries/{gallery_id}/grid/", VIEWER),
    page("GET /galleries/{gallery_id}/changes/", VIEWER),
    page("POST /galleries/{gallery_id}/photos/", EDITOR, photos=FILE),
    page("POST /galleries/{gallery_id}/retry/", EDITOR),
    page("POST /galleries/{gallery_id}/selected/delete/", EDITOR, photo="{photo_id}", sure="1"),
    page("POST /galleries/{gallery_id}/selected/move/", EDITOR, photo="{photo_id}", target=""),
    page("POST /galleries/{gallery_id}/selected/retry/", EDITOR, photo="{photo_id}"),
    page("POST /galleries/{gallery_id}/rename/", OWNER, name="Another"),
    page("GET /galleries/{gallery_id}/delete/", OWNER),
    page("POST /galleries/{gallery_id}/delete/", OWNER),
    api("GET /galleries", USER, READ),
    api("POST /galleries", USER, WRITE, 201, json={"name": "Another"}, others={"limited key": 403}),
    api("GET /galleries/{gallery_id}", VIEWER, READ),
    api("PATCH /galleries/{gallery_id}", OWNER, WRITE, json={"name": "Another"}),
    api("DELETE /galleries/{gallery_id}", OWNER, WRITE, 202),
    api("GET /galleries/{gallery_id}/progress", VIEWER, READ),
    # -- members and invitations
    page("GET /galleries/{gallery_id}/members/", VIEWER),
    page("POST /galleries/{gallery_id}/members/{member_id}/", OWNER, level="editor"),
    page("POST /galleries/{gallery_id}/members/{member_id}/remove/", OWNER),
    page("POST /galleries/{gallery_id}/download/", OWNER),
    page("POST /galleries/{gallery_id}/leave/", VIEWER, others={"owner": 409}),
    page("GET /galleries/{gallery_id}/transfer/", OWNER),
    page("POST /galleries/{gallery_id}/transfer/", OWNER, member_id="{member_id}"),
    page("POST /galleries/{gallery_id}/invitations/", OWNER, 200),
    page("POST /galleries/{gallery_id}/invitations/{invitation_id}/revoke/", OWNER),
    page("GET /invitations/{token}/", USER),
    page("POST /invitations/accept/", USER, token="{token}"),
    api("GET /galleries/{gallery_id}/members", VIEWER, READ),
    api("GET /galleries/{gallery_id}/members/{member_id}", VIEWER, READ),
    api("PATCH /galleries/{gallery_id}/members/{member_id}", OWNER, WRITE, json={"level": "editor"}),
    api("DELETE /galleries/{gallery_id}/members/{member_id}", OWNER, WRITE, 204),
    api("POST /galleries/{gallery_id}/leave", VIEWER, WRITE, 204, others={"owner": 409, "write key": 409}),
    api("POST /galleries/{gallery_id}/transfer", OWNER, WRITE, json={"member_id": "{member_id}"}),
    api("GET /galleries/{gallery_id}/invitations", OWNER, WRITE),
    api("POST /galleries/{gallery_id}/invitations", OWNER, WRITE, 201, json={}),
    api("DELETE /galleries/{gallery_id}/invitations/{invitation_id}", OWNER, WRITE, 204),
    api("POST /invitations/show", USER, READ, json={"token": "{token}"}),
    api("POST /invitations/accept", USER, WRITE, json={"token": "{token}"}, others={"limited key": 403}),
    # -- photos
    page("GET /photos/{photo_id}/", VIEWER),
    page("GET /photos/{photo_id}/thumbnail/{digest}.jpg", VIEWER),
    page("GET /photos/{photo_id}/preview/{digest}.jpg", VIEWER),
    page("GET /faces/{face_id}/crop/{digest}.jpg", VIEWER),
    page("GET /photos/{photo_id}/original/", OWNER),
    page("POST /photos/{photo_id}/retry/", EDITOR),
    page("GET /photos/{photo_id}/delete/", EDITOR),
    page("POST /photos/{photo_id}/delete/", EDITOR),
    page("POST /photos/{photo_id}/move/", EDITOR),
    api("GET /galleries/{gallery_id}/photos", VIEWER, READ),
    api("POST /galleries/{gallery_id}/photos", EDITOR, WRITE, 202, form={"files": FILE}),
    api("GET /photos/{photo_id}", VIEWER, READ),
    api("DELETE /photos/{photo_id}", EDITOR, WRITE, 202),
    api("GET /photos/{photo_id}/file", OWNER, READ),
    api("POST /photos/{photo_id}/retry", EDITOR, WRITE, 409),
    api("POST /photos/{photo_id}/move", EDITOR, WRITE, 409, json={"gallery_id": "{gallery_id}"}),
    api("POST /galleries/{gallery_id}/photos/delete", EDITOR, WRITE, 202, json={"photo_ids": ["{photo_id}"]}),
    api("POST /galleries/{gallery_id}/photos/retry", EDITOR, WRITE, 202, json={}),
    api(
        "POST /galleries/{gallery_id}/photos/move",
        EDITOR,
        WRITE,
        409,
        json={"gallery_id": "{gallery_id}", "photo_ids": ["{photo_id}"]},
    ),
    api("GET /photos/{photo_id}/faces", VIEWER, READ),
    api("GET /photos/{photo_id}/thumbnail/{digest}.jpg", VIEWER, READ),
    api("GET /photos/{photo_id}/preview/{digest}.jpg", VIEWER, READ),
    api("GET /faces/{face_id}/crop/{digest}.jpg", VIEWER, READ),
    # -- faces and people
    page("POST /faces/{face_id}/name/", EDITOR, name="Grace"),
    api("GET /galleries/{gallery_id}/people", VIEWER, READ),
    api("GET /people/{person_id}", VIEWER, READ),
    api("GET /people/{person_id}/faces", VIEWER, READ),
    api("GET /people/{person_id}/photos", VIEWER, READ),
    api("DELETE /people/{person_id}", EDITOR, WRITE, 204),
    api("PATCH /people/{person_id}", EDITOR, WRITE, json={"name": "Grace"}),
    api("GET /faces/{face_id}", VIEWER, READ),
    api("GET /faces/{face_id}/person", VIEWER, READ),
    api("PUT /faces/{face_id}/person", EDITOR, WRITE, json={"name": "Grace"}),
    api("DELETE /faces/{face_id}/person", EDITOR, WRITE, 204),
    # -- searches
    page("GET /galleries/{gallery_id}/search/", VIEWER),
    page("POST /galleries/{gallery_id}/search/", VIEWER, image=FILE),
    page("GET /search/", USER),
    page("POST /search/", VIEWER, image=FILE, gallery="{gallery_id}"),
    page("POST /searches/{ticket}/name/", VIEWER, face="{face_id}", name="Grace"),
    page("GET /searches/{ticket}/", VIEWER),
    api("POST /searches?gallery_id={gallery_id}", VIEWER, SEARCH, 202, form={"image": FILE}),
    api("POST /galleries/{gallery_id}/searches", VIEWER, SEARCH, 202, form={"image": FILE}),
    api("GET /searches/{ticket}", VIEWER, SEARCH, 202),
    api("DELETE /searches/{ticket}", VIEWER, SEARCH, 204),
    page("POST /faces/{face_id}/search/", VIEWER),
    api("POST /verify", USER, SEARCH, 422),  # no worker would answer here: without an image, none is asked
    api("POST /detect", USER, SEARCH, 422),
    # -- jobs
    page("GET /jobs/", USER),
    page("GET /jobs/{job_id}/", EDITOR, others={"viewer": 404}),
    page("GET /jobs/{job_id}/progress/", EDITOR, 286, others={"viewer": 404}),
    page("POST /jobs/{job_id}/cancel/", EDITOR, others={"viewer": 404}),
    page("POST /jobs/{job_id}/retry/", EDITOR, others={"viewer": 404}),
    api("GET /jobs", USER, READ),
    api("GET /jobs/{job_id}", EDITOR, READ, others={"viewer": 404}),
    api("GET /jobs/{job_id}/events", EDITOR, READ, others={"viewer": 404}),
    api("POST /jobs/{job_id}/cancel", EDITOR, WRITE, 409, others={"viewer": 404}),
    api("POST /jobs/{job_id}/close", EDITOR, WRITE, others={"viewer": 404}),
    api("POST /jobs/{job_id}/retry", EDITOR, WRITE, 202, others={"viewer": 404}),
    # -- generations
    page("GET /generations/", STAFF),
    page("GET /generations/{number}/", STAFF),
    page("GET /generations/{number}/progress/", STAFF),
    page("POST /generations/start/", PERMITTED, pack="dlib"),
    page("POST /generations/rollback/", PERMITTED),
    page("POST /generations/{number}/pause/", PERMITTED),
    page("POST /generations/{number}/rate/", PERMITTED),
    page("POST /generations/{number}/search-params/", PERMITTED),
    page("POST /generations/{number}/activate/", PERMITTED),
    page("POST /generations/{number}/drop/", PERMITTED),
    api("GET /generations", STAFF, ADMIN),
    api("GET /generations/{number}", STAFF, ADMIN),
    api("POST /generations", PERMITTED, ADMIN, 409, json={"pack": "dlib"}),
    api("POST /generations/rollback", PERMITTED, ADMIN, 409, json={}),
    api("POST /generations/{number}/pause", PERMITTED, ADMIN),
    api("POST /generations/{number}/resume", PERMITTED, ADMIN),
    api("POST /generations/{number}/rate", PERMITTED, ADMIN, json={"rate_limit": 5}),
    api("POST /generations/{number}/search-params", PERMITTED, ADMIN, 202, json={"search_params": {}}),
    api("POST /generations/{number}/activate", PERMITTED, ADMIN, 409, json={}),
    api("POST /generations/{number}/check", PERMITTED, ADMIN, 202, json={}),
    api("DELETE /generations/{number}", PERMITTED, ADMIN, 202),
    # -- the service
    page("GET /health/live", ANYBODY),
    page("GET /health/ready", ANYBODY),
    page("GET /metrics", ANYBODY),
    page("GET /status/", STAFF),
    page("GET /api/v1/", NOBODY),
    page("GET /api/v1/docs", ANYBODY),
    page("GET /api/v1/openapi.json", ANYBODY),
]

#: Pages that there are only with settings other than the defaults.
ROWS_OF_SETTINGS: Final = [
    page("GET /login/code/", ANYBODY, 302),
    page("POST /login/code/", ANYBODY, 302),
    page("GET /account/second-factor/", USER),
    page("POST /account/second-factor/", USER, 200),
    page("GET /login/with/{provider_id}/", ANYBODY, 302),
    page("GET /login/with/{provider_id}/callback/", ANYBODY, 302),
    page("GET /account/linked/", USER),
    page("POST /account/linked/", USER, 200),
    page("GET /password/forgotten/", ANYBODY, 200),
    page("POST /password/forgotten/", ANYBODY, 200),
    page("GET /account/email/", USER),
    page("POST /account/email/", USER),
    page("GET /sign-up/{token}/", ANYBODY, 404, 302),
    page("POST /sign-up/{token}/", ANYBODY, 404, 302),
    page("GET /sign-up/", ANYBODY, 200, 302),
    page("POST /sign-up/", ANYBODY, 200, 302),
]

#: The addresses of the admin that any of the staff may open, by their statuses; others there need a permission.
ADMIN_OF_STAFF: Final = {
    "/admin/": 200,
    "/admin/login/": 302,
    "/admin/password_change/": 302,
    "/admin/password_change/done/": 200,
    "/admin/jsi18n/": 200,
}
