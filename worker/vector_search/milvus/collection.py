"""The collection on the server: created when missing, and filled by one pack only."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from worker.errors import ConfigError, ModelMismatch
from worker.vector_search.config import CollectionConfig
from worker.vector_search.connection import Answer, ConnectionManager, DataType, MilvusClient
from worker.vector_search.exceptions import CollectionMissing, StoreRejected, VectorSearchError
from worker.vector_search.milvus.indexes import INDEXES_OF_MILVUS_LITE

#: The property that says which pack filled the collection. Milvus Lite 3.2.2 loses a collection's description and keeps
#: its properties; the description is for people who inspect a server.
FINGERPRINT_PROPERTY = "facequeue.fingerprint"

#: The start of Milvus Lite's version. (The wheel with a complete Milvus reports "v2.3.5-lite".)
MILVUS_LITE = "milvus_lite-"

#: The length of an id, a UUID.
ID_LENGTH = 36

#: Searches do not wait for concurrent writes. Instead, writers wait once per call until their rows can be found.
DEFAULT_CONSISTENCY = "Bounded"

#: A read sees everything that was written before it.
STRONG = "Strong"

#: Versions of Milvus in which upserts and partition keys do not work together. (Milvus Lite's starts with its name.)
UNSOUND_PARTITION_KEYS = re.compile(r"v?2\.[0-3]\.")


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
        """Create, index and load the collection where necessary and allowed; check which pack filled it.

        Several workers may do this at the same time, and it completes what a worker that died left unfinished. Raises
        ModelMismatch, CollectionMissing (AUTO_CREATE is off), ConfigError (the collection has a different index, or
        the server does not offer the index).
        """
        self._check_server_offers_index()
        if not self._exists():
            self._check_may_create("does not exist")
            self._unless(self._exists, self._create)
        self._check_pack()
        if not self._is_indexed():
            self._check_may_create("has no index")
            self._unless(self._is_indexed, self._index)
        self._check_index()
        if self._config.auto_load:
            self._call(lambda client, seconds: client.load_collection(self._config.name, timeout=seconds))

    def drop(self) -> None:
        """Delete the collection, whichever pack filled it; a missing one is not an error."""
        with suppress(CollectionMissing):
            self._call(lambda client, seconds: client.drop_collection(self._config.name, timeout=seconds))

    def dimension_and_fingerprint(self) -> tuple[int, str]:
        """Return what the server says about the collection; no fingerprint if facequeue did not create it."""
        found = self._call(lambda client, seconds: client.describe_collection(self._config.name, timeout=seconds))
        dimensions = [int(each["params"]["dim"]) for each in found["fields"] if each["name"] == "embedding"]
        return next(iter(dimensions), 0), str(found["properties"].get(FINGERPRINT_PROPERTY, ""))

    def index_type(self) -> str:
        return str(self._described_index()["index_type"])

    def _described_index(self) -> dict[str, Any]:
        found = self._call(
            lambda client, seconds: client.describe_index(self._config.name, "embedding", timeout=seconds)
        )
        return dict(found)

    def _call(self, operation: Callable[[MilvusClient, float], Answer]) -> Answer:
        return self._connection.call(operation, timeout_seconds=self._timeout_seconds)

    @staticmethod
    def _unless(is_done: Callable[[], bool], step: Callable[[], None]) -> None:
        """Take the step; if it fails because another worker was faster, that is fine too."""
        try:
            step()
        except (VectorSearchError, ConfigError):
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
        schema.add_field(
            "gallery_id", DataType.VARCHAR, is_partition_key=self._has_sound_partition_keys(), max_length=ID_LENGTH
        )
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

    def _has_sound_partition_keys(self) -> bool:
        """Return whether an upsert puts rows into the partition that a search of their gallery reads.

        Before 2.4, Milvus chose the partition by the face's id instead (milvus-io/milvus#30772), and a search of one
        gallery found one row in sixty. There, the gallery is a plain field.
        """
        version = self._call(lambda client, seconds: client.get_server_version(timeout=seconds))
        return UNSOUND_PARTITION_KEYS.match(version) is None

    def _index(self) -> None:
        index = MilvusClient.prepare_index_params()
        index.add_index(
            "embedding",
            index_type=self._config.index_type,
            metric_type=self._config.metric_type,
            params=dict(self._config.index_params),
        )
        try:
            self._call(lambda client, seconds: client.create_index(self._config.name, index, timeout=seconds))
        except StoreRejected as error:
            raise self._no_such_index(str(error)) from error

    def _check_server_offers_index(self) -> None:
        version = self._call(lambda client, seconds: client.get_server_version(timeout=seconds))
        if version.startswith(MILVUS_LITE) and self._config.index_type not in INDEXES_OF_MILVUS_LITE:
            raise self._no_such_index(f"Milvus Lite offers {', '.join(sorted(INDEXES_OF_MILVUS_LITE))}.")

    def _no_such_index(self, reason: str) -> ConfigError:
        config = self._config
        return ConfigError(
            f"INDEX_TYPE is {config.index_type!r}, with METRIC_TYPE {config.metric_type!r} and INDEX_PARAMS "
            f"{dict(config.index_params)}, which this server does not offer. {reason}"
        )

    def _check_may_create(self, what_is_missing: str) -> None:
        if not self._config.auto_create:
            raise CollectionMissing(
                f"Collection {self._config.name!r} {what_is_missing} and AUTO_CREATE is off: turn it on for one start, "
                "or correct NAME."
            )

    def _check_index(self) -> None:
        """Refuse an existing index that differs from the settings: they would otherwise silently have no effect."""
        found = self._described_index()
        wanted: dict[str, Any] = {
            "INDEX_TYPE": ("index_type", self._config.index_type),
            "METRIC_TYPE": ("metric_type", self._config.metric_type),
            **{f"INDEX_PARAMS[{name!r}]": (name, value) for name, value in self._config.index_params.items()},
        }
        for key, (name, value) in wanted.items():
            actual = found.get(name, value)  # Milvus Lite keeps no parameters to compare with.
            if str(actual) != str(value):
                raise ConfigError(
                    f"{key} is {value!r}, but collection {self._config.name!r} was indexed with {actual!r}: set that, "
                    "or another NAME to build a new index."
                )

    def _check_pack(self) -> None:
        dimension, fingerprint = self.dimension_and_fingerprint()
        if (dimension, fingerprint) != (self._dimension, self._fingerprint):
            raise ModelMismatch(
                f"Collection {self._config.name!r} was filled by the pack {fingerprint!r} ({dimension} values per "
                f"face), not by {self._fingerprint!r} ({self._dimension} values)."
            )
