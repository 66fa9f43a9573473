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
    sentence = "The vector store failed."


class StoreUnavailable(VectorSearchError):
    code = "store_unavailable"
    retryable = True
    status = 503
    sentence = "The vector store cannot be reached at the moment."


class StoreTimeout(VectorSearchError):
    code = "store_timeout"
    retryable = True
    status = 503
    sentence = "The vector store gave no answer in time."


class CollectionNotLoaded(VectorSearchError):
    code = "collection_not_loaded"
    retryable = True
    status = 503
    sentence = "The vector store has not loaded the collection."


class StoreRejected(VectorSearchError):
    code = "store_rejected"
    sentence = "The vector store refused the request."


class CollectionMissing(VectorSearchError):
    code = "collection_missing"
    status = 503
    sentence = "The vector store has no such collection."


class CapacityReached(VectorSearchError):
    code = "capacity_reached"
    sentence = "The collection is full."


class InvalidEmbedding(VectorSearchError):
    code = "invalid_embedding"
    sentence = "The embedding is not one that the collection can hold."


class InvalidId(VectorSearchError):
    code = "invalid_id"
    sentence = "The id is not one that facequeue generated."
