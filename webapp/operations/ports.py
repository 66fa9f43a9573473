"""Local ports: `PORT` is the port of the pages, and the others follow it. A second checkout needs only another PORT."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalPorts:
    web: int

    @property
    def redis(self) -> int:
        return self.web + 1

    @property
    def redis_cache(self) -> int:
        return self.web + 2

    @property
    def milvus(self) -> int:
        return self.web + 3

    @property
    def flower(self) -> int:
        return self.web + 4
