"""What the vector store raises. Every pymilvus and gRPC error becomes one of these, at the border.

* VectorSearchError
  + StoreUnavailable      retry later: no connection, or the breaker is open
  + StoreTimeout          retry later: no answer within the timeout
  + CollectionNotLoaded   retry later: the server holds the collection but has not loaded it
  + StoreRejected         refuse: the server says that the request is wrong
  + CollectionMissing     refuse: an operator must act
  + CapacityReached       refuse: the collection is full; an operator must act
  + InvalidEmbedding      refuse: NaN, zero length, or not as many values as the collection holds
  + InvalidId             refuse: not an id that facequeue made
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
