"""What the vector store raises. Every pymilvus and gRPC error is translated into one of these.

* VectorSearchError
  + StoreUnavailable      retry later: no connection, or the breaker is open
  + StoreTimeout          retry later: no answer within the timeout
  + CollectionNotLoaded   retry later: the server has the collection but has not loaded it
  + StoreRejected         do not retry: the request is wrong
  + CollectionMissing     do not retry: an operator must act
  + CapacityReached       do not retry: the collection is full; an operator must act
  + InvalidEmbedding      do not retry: NaN, zero length, or the wrong number of values for the collection
  + InvalidId             do not retry: not an id that facequeue generated
"""

from worker.errors import FaceQueueError


class VectorSearchError(FaceQueueError):
    code = "store"


class StoreUnavailable(VectorSearchError):
    code = "store_unavailable"
    retryable = True


class StoreTimeout(VectorSearchError):
    code = "store_timeout"
    retryable = True


class CollectionNotLoaded(VectorSearchError):
    code = "collection_not_loaded"
    retryable = True


class StoreRejected(VectorSearchError):
    code = "store_rejected"


class CollectionMissing(VectorSearchError):
    code = "collection_missing"


class CapacityReached(VectorSearchError):
    code = "capacity_reached"


class InvalidEmbedding(VectorSearchError):
    code = "invalid_embedding"


class InvalidId(VectorSearchError):
    code = "invalid_id"
