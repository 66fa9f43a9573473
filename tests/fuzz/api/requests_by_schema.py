"""What is sent: requests that follow the schema, and some that break it, most of them about things that exist."""

from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.schemas import BaseSchema

from tests import pictures
from tests.fuzz.api.world import World

#: A request is held no longer than this.
LONGEST_WAIT_SECONDS: Final = 1
#: Later ones use up what earlier ones need: what reads comes first, what deletes last, the innermost things before
#: what they are in.
_USING_UP: Final = ("/delete", "/move", "/leave", "/transfer", "/person", "/accept")


def load(document: dict[str, Any], url: str) -> BaseSchema:
    """Return the schema of the service at `url`. Files are portraits, other pictures, or no pictures at all."""
    portrait, dark = pictures.edited_portrait(), pictures.pillow_bytes(pictures.Pillow.new("L", (64, 64)), "PNG")
    schemathesis.openapi.format("binary", st.sampled_from([portrait, portrait[:999], dark]) | st.binary(max_size=64))
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    schema.config.generation.update(with_security_parameters=False)
    return schema


def turn_of(label: str) -> tuple[int, int]:
    """Return what the operations are sorted by: "DELETE /api/v1/photos/{photo_id}" comes late."""
    method, path = label.split()
    if method == "GET":
        return 0, 0
    uses_up = method == "DELETE" or path.endswith(_USING_UP)
    is_gallery = path.endswith("/galleries/{gallery_id}")
    return 1 + uses_up + is_gallery, -path.count("/")


@st.composite
def cases(draw: st.DrawFn, operation: APIOperation, world: World) -> Case:
    """Draw a request; its ids are mostly those of planted things."""
    mode = draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case: Case = draw(operation.as_strategy(mode))
    case.path_parameters = _with_ids(draw, case.path_parameters or {}, world)
    # A condition that was made up holds for nothing that is there.
    case.headers.update(dict.fromkeys([name for name in case.headers if name.lower() == "if-match"], "*"))
    # And a key that was made up has often been another request's.
    for name in [name for name in case.headers if name.lower() == "idempotency-key"]:
        if draw(st.integers(0, 3)):
            case.headers[name] = world.new_key()
    case.query = _with_ids(draw, case.query or {}, world)
    if isinstance(case.body, dict):
        case.body = _with_ids(draw, case.body, world)
        if {"image", "face_id"} <= case.body.keys() and draw(st.booleans()):  # a search takes one of them
            del case.body[draw(st.sampled_from(["image", "face_id"]))]
    return case


def _with_ids(draw: st.DrawFn, values: dict[str, Any], world: World) -> dict[str, Any]:
    found = {name: _with_id(draw, name, value, world) for name, value in values.items()}
    if "cursor" in found and draw(st.integers(0, 3)):  # a cursor fits only where it comes from
        del found["cursor"]
    wait = found.get("wait")
    if isinstance(wait, int | float) and wait > LONGEST_WAIT_SECONDS:
        found["wait"] = LONGEST_WAIT_SECONDS
    return found


def _with_id(draw: st.DrawFn, name: str, value: Any, world: World) -> Any:
    if name == "number":  # of a generation: the active one, or one that an earlier request may have started
        return draw(st.integers(1, 3))
    known = world.values(name)
    if not known or draw(st.integers(0, 9)) == 0:
        return value
    # Often the first, so that what goes together meets: a gallery and what is in it.
    chosen = st.just(known[0]) | st.sampled_from(known)
    if not isinstance(value, list):
        return draw(chosen)
    return draw(st.just(known[:1]) | st.lists(chosen, min_size=1, max_size=3, unique=True))
