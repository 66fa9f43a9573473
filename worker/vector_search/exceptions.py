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
    sentence = "The id is not one that facequeue made."
