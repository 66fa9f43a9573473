"""The collection on the server: made when it is missing, and filled by one pack only."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from worker.errors import ConfigError, ModelMismatch
from worker.vector_search.config import CollectionConfig
from worker.vector_search.connection import Answer, ConnectionManager, DataType, MilvusClient
from worker.vector_search.exceptions import CollectionMissing, StoreRejected, VectorSearchError
from worker.vector_search.milvus.indexes import INDEXES_OF_MILVUS_LITE

#: Where the collection says which pack filled it. Milvus Lite 3.2.2 forgets a collection's description and keeps its
#: properties; the description is for a person who looks at a server.
FINGERPRINT_PROPERTY = "facequeue.fingerprint"

#: How Milvus Lite's version begins. (The wheel of a whole Milvus calls itself "v2.3.5-lite".)
MILVUS_LITE = "milvus_lite-"

#: The length of an id, a UUID.
ID_LENGTH = 36

#: Searches do not wait for what others are writing at that moment. A writer waits instead, once per call, until its
#: rows can be found.
DEFAULT_CONSISTENCY = "Bounded"

#: The reader sees everything that was written before it asked.
STRONG = "Strong"


#: The versions of Milvus whose upserts and partition keys do not go together. Milvus Lite's begins with its name.
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
        """Create, index and load the collection as far as it is not and may be; check which pack filled it.

        Several workers may do this at the same time, and one that died half-way is made good. Raises ModelMismatch,
        CollectionMissing (AUTO_CREATE is off), ConfigError (the index is another, or the server has no such index).
        """
        self._check_server_offers_index()
        if not self._exists():
            self._check_may_create("is not there")
            self._unless(self._exists, self._create)
        self._check_pack()
        if not self._is_indexed():
            self._check_may_create("has no index")
            self._unless(self._is_indexed, self._index)
        self._check_index()
        if self._config.auto_load:
            self._call(lambda client, seconds: client.load_collection(self._config.name, timeout=seconds))

    def drop(self) -> None:
        """Delete the collection, whichever pack filled it; one that is not there is no error."""
        with suppress(CollectionMissing):
            self._call(lambda client, seconds: client.drop_collection(self._config.name, timeout=seconds))

    def dimension_and_fingerprint(self) -> tuple[int, str]:
        """Return what the collection says of itself; an empty fingerprint when facequeue did not make it."""
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
        """Take the step; when it fails because another worker was faster, that is as good."""
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
        """Say whether an upsert puts its rows where a search for their gallery looks.

        Before 2.4, Milvus chose the partition by the face's id instead (milvus-io/milvus#30772), and a search in one
        gallery found one row in sixty. There the gallery is a plain field.
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
            f"{dict(config.index_params)}; this server does not offer that. {reason}"
        )

    def _check_may_create(self, what_is_missing: str) -> None:
        if not self._config.auto_create:
            raise CollectionMissing(
                f"Collection {self._config.name!r} {what_is_missing} and AUTO_CREATE is off: turn it on for one start, "
                "or correct NAME."
            )

    def _check_index(self) -> None:
        """Refuse an index that stands but is not the one that is set: its settings would silently do nothing."""
        found = self._described_index()
        wanted: dict[str, Any] = {
            "INDEX_TYPE": ("index_type", self._config.index_type),
            "METRIC_TYPE": ("metric_type", self._config.metric_type),
            **{f"INDEX_PARAMS[{name!r}]": (name, value) for name, value in self._config.index_params.items()},
        }
        for key, (name, value) in wanted.items():
            stands = found.get(name, value)  # Milvus Lite keeps no parameters to compare with.
            if str(stands) != str(value):
                raise ConfigError(
                    f"{key} is {value!r}, but collection {self._config.name!r} was indexed with {stands!r}: set that, "
                    "or another NAME to index again."
                )

    def _check_pack(self) -> None:
        dimension, fingerprint = self.dimension_and_fingerprint()
        if (dimension, fingerprint) != (self._dimension, self._fingerprint):
            raise ModelMismatch(
                f"Collection {self._config.name!r} was filled by the pack {fingerprint!r} ({dimension} values per "
                f"face), not by {self._fingerprint!r} ({self._dimension} values)."
            )
