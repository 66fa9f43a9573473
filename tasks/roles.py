"""Roles: what a worker is for. The one table that queues, niceness, local processes, gates and health read.

`Procfile` and `docker-compose.yml` start one kind of process for each row; a test compares them with the table.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One kind of worker. Its name is the first word of its queue, and of its workers' host names."""

    name: str
    #: Celery's pool. Threads share one model and a few Milvus clients; the ORM gets processes.
    pool: Literal["threads", "prefork"]
    #: Tasks that a worker runs at a time, unless the environment says otherwise.
    concurrency: int
    #: Steps of niceness; the web, Redis and beat have none. A step is about a fifth of the processor time.
    niceness: int
    #: Whether its worker holds a pack: its queue then carries the pack's name.
    needs_pack: bool = True
    #: Whether the service is unready without a healthy worker of this role.
    is_required: bool = True

    def queue(self, pack: str) -> str:
        """Return the queue of this role's workers of `pack`."""
        return f"{self.name}.{pack}" if self.needs_pack else self.name

    @property
    def process(self) -> str:
        """The name of its process in the Procfile, and of its service in Compose."""
        return f"worker-{self.name}"

    @property
    def concurrency_variable(self) -> str:
        """The environment variable that sets the concurrency."""
        return f"{self.name.upper()}_CONCURRENCY"


SEARCH: Final = Role(name="search", pool="threads", concurrency=8, niceness=12)
INDEX: Final = Role(name="index", pool="threads", concurrency=2, niceness=15)
#: Fills the next generation. Nobody waits for it, so the service is ready without it.
REINDEX: Final = Role(name="reindex", pool="threads", concurrency=2, niceness=18, is_required=False)
#: Writes outcomes to the database; the only Celery role that does.
RECORDS: Final = Role(name="records", pool="prefork", concurrency=2, niceness=5, needs_pack=False)

ROLES: Final = (SEARCH, INDEX, REINDEX, RECORDS)
#: The roles whose workers hold a pack.
PACK_ROLES: Final = tuple(role for role in ROLES if role.needs_pack)


def role_of(queue: str) -> Role | None:
    """Return the role that consumes the queue; None for a queue that is not facequeue's."""
    name = queue.partition(".")[0]
    return next((role for role in ROLES if role.name == name), None)
