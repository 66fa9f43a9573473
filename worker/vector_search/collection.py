"""The collection on the server: made when it is missing, and filled by one pack only."""

from collections.abc import Callable
from typing import Any

from worker.errors import ModelMismatch
from worker.vector_search.config import METRIC, CollectionConfig
from worker.vector_search.connection import Answer, ConnectionManager, DataType, MilvusClient
from worker.vector_search.exceptions import VectorSearchError

#: Where the collection says which pack filled it. Milvus Lite 3.2.2 forgets a collection's description and keeps its
#: properties; the description is for a person who looks at a server.
FINGERPRINT_PROPERTY = "facequeue.fingerprint"

#: The length of an id, a UUID.
ID_LENGTH = 36

#: Searches may miss what was written in the last moment, which spares them a wait for every writer. Whoever must
#: see its own writes asks with STRONG.
DEFAULT_CONSISTENCY = "Bounded"

#: The reader sees everything that was written before it asked.
STRONG = "Strong"


class MilvusCollection:
    """Prepares and describes one collection. Each call ends within `timeout_seconds`."""

    def __init__(
        self,
        connection: ConnectionManager,
        *,
        config: CollectionConfig,
        dimension: int,
        fingerprint: str,
        timeout_seconds: float,
    ) -> None:
        self._connection = connection
        self._config = config
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._timeout_seconds = timeout_seconds

    def prepare(self) -> None:
        """Create, index and load the collection as far as it is not; check which pack filled it.

        Several workers may do this at the same time, and one that died half-way is made good. Raises ModelMismatch.
        """
        if not self._exists():
            self._unless(self._exists, self._create)
        self._check_pack()
        if not self._is_indexed():
            self._unless(self._is_indexed, self._index)
        self._call(lambda client, seconds: client.load_collection(self._config.name, timeout=seconds))

    def dimension_and_fingerprint(self) -> tuple[int, str]:
        """Return what the collection says of itself; an empty fingerprint when facequeue did not make it."""
        found = self._call(lambda client, seconds: client.describe_collection(self._config.name, timeout=seconds))
        dimensions = [int(each["params"]["dim"]) for each in found["fields"] if each["name"] == "embedding"]
        return next(iter(dimensions), 0), str(found["properties"].get(FINGERPRINT_PROPERTY, ""))

    def index_type(self) -> str:
        found = self._call(
            lambda client, seconds: client.describe_index(self._config.name, "embedding", timeout=seconds)
        )
        return str(found["index_type"])

    def _call(self, operation: Callable[[MilvusClient, float], Answer]) -> Answer:
        return self._connection.call(operation, timeout_seconds=self._timeout_seconds)

    @staticmethod
    def _unless(is_done: Callable[[], bool], step: Callable[[], None]) -> None:
        """Take the step; when it fails because another worker was faster, that is as good."""
        try:
            step()
        except VectorSearchError:
            if not is_done():
                raise

    def _exists(self) -> bool:
        return bool(self._call(lambda client, seconds: client.has_collection(self._config.name, timeout=seconds)))

    def _is_indexed(self) -> bool:
        indexes: list[Any] = self._call(
            lambda client, seconds: client.list_indexes(self._config.name, "embedding", timeout=seconds)
        )
        return bool(indexes)

    def _create(self) -> None:
        schema = MilvusClient.create_schema(
            auto_id=False, enable_dynamic_field=False, description=f"facequeue faces of pack {self._fingerprint}"
        )
        schema.add_field("face_id", DataType.VARCHAR, is_primary=True, max_length=ID_LENGTH)
        schema.add_field("photo_id", DataType.VARCHAR, max_length=ID_LENGTH)
        schema.add_field("gallery_id", DataType.VARCHAR, is_partition_key=True, max_length=ID_LENGTH)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=self._dimension)
        self._call(
            lambda client, seconds: client.create_collection(
                self._config.name,
                schema=schema,
                properties={FINGERPRINT_PROPERTY: self._fingerprint},
                consistency_level=DEFAULT_CONSISTENCY,
                timeout=seconds,
            )
        )

    def _index(self) -> None:
        index = MilvusClient.prepare_index_params()
        index.add_index(
            "embedding",
            index_type=self._config.index_type,
            metric_type=METRIC,
            params=dict(self._config.index_params),
        )
        self._call(lambda client, seconds: client.create_index(self._config.name, index, timeout=seconds))

    def _check_pack(self) -> None:
        dimension, fingerprint = self.dimension_and_fingerprint()
        if (dimension, fingerprint) != (self._dimension, self._fingerprint):
            raise ModelMismatch(
                f"Collection {self._config.name!r} was filled by the pack {fingerprint!r} ({dimension} values per "
                f"face), not by {self._fingerprint!r} ({self._dimension} values)."
            )
