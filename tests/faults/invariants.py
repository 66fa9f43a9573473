"""What must hold after every fault, asked of the database, Redis and Milvus themselves, past our own code."""

import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import redis
from pymilvus import MilvusException

from tests.redis_server import queue_messages
from tests.service import RunningService
from tests.waiting import eventually

FINAL = frozenset({"indexed", "no_faces", "failed", "cancelled"})
QUEUES = ("index.dlib", "search.dlib", "records")


@contextmanager
def database(service: RunningService) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(service.folder / "db.sqlite3", timeout=20)) as connection:
        yield connection


def photo_states(service: RunningService) -> dict[str, str]:
    with database(service) as connection:
        return dict(connection.execute("SELECT id, state FROM gallery_photo"))


def face_rows(service: RunningService) -> list[str]:
    with database(service) as connection:
        return [str(uuid.UUID(face_id)) for (face_id,) in connection.execute("SELECT id FROM gallery_face")]


def unsettled(service: RunningService) -> list[str]:
    """Say in a sentence each what is not in order now; empty when everything is."""
    open_photos = [state for state in photo_states(service).values() if state not in FINAL]
    if open_photos:
        return [f"{len(open_photos)} photos are not final."]
    try:
        found = _queues(service)
    except redis.RedisError as error:
        return [f"Redis: {error}."]
    return found or _faces(service)


def _queues(service: RunningService) -> list[str]:
    return [f"{name} holds {length} messages." for name, length in _queue_lengths(service).items() if length]


def _queue_lengths(service: RunningService) -> dict[str, int]:
    with redis.Redis.from_url(service.redis_url, socket_timeout=2) as broker:
        lengths = {name: len(queue_messages(broker, name)) for name in QUEUES}
        return lengths | {"unacked": broker.hlen("unacked"), "unacked_index": broker.zcard("unacked_index")}


def _faces(service: RunningService) -> list[str]:
    rows = face_rows(service)
    try:
        vectors = service.all_face_ids()
    except MilvusException as error:
        return [f"Milvus: {error}."]
    if len(rows) == len(set(rows)) == len(vectors) and set(rows) == set(vectors):
        return []
    return [f"The database has {len(rows)} faces, Milvus {len(vectors)} ({len(set(rows) & set(vectors))} of them)."]


def wait_until_whole(service: RunningService) -> float:
    """Wait until every photo is final, nothing is under way, and faces are the same in both stores; return seconds."""
    problems: list[str] = []
    waiting: list[int] = []

    def is_whole() -> bool:
        problems[:] = unsettled(service)
        return not problems

    def progress() -> tuple[object, ...]:
        waiting.append(_waiting_messages(service))
        return service.progress(), min(waiting)  # canaries come and go: only a new minimum is progress

    def details() -> str:
        logs = (f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}" for path in _logs(service))
        return "\n".join([*problems, *logs])

    return eventually(
        is_whole, "everything is settled", progress=progress, is_working=service.is_working, details=details
    )


def _waiting_messages(service: RunningService) -> int:
    try:
        return sum(_queue_lengths(service).values())
    except redis.RedisError:
        return sys.maxsize


def _logs(service: RunningService) -> list:
    return [path for path in sorted(service.folder.glob("*.log")) if path.stem not in ("milvus", "redis-cache")]
