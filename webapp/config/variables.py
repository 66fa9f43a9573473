"""Which environment variable gives which key of the settings dictionaries, and of what kind it is.

The worker's configuration classes have the defaults, and check what a value may be.
"""

from typing import Final

from webapp.config.environment import Kind, as_flag, as_json_object, as_list, as_number, as_text, as_whole

Variables = dict[str, tuple[str, Kind]]

FACE: Final[Variables] = {
    "PACK": ("FACE_PACK", as_text),
    "PACKS_DIR": ("FACE_PACKS_DIR", as_text),
    "PROVIDERS": ("FACE_PROVIDERS", as_list),
    "ALLOW_PROVIDER_FALLBACK": ("FACE_ALLOW_PROVIDER_FALLBACK", as_flag),
    "RUNS_AT_ONCE": ("FACE_RUNS_AT_ONCE", as_whole),
    "THREADS_PER_RUN": ("FACE_THREADS_PER_RUN", as_whole),
    "MAX_WAITING": ("FACE_MAX_WAITING", as_whole),
    "ARENA": ("FACE_ARENA", as_flag),
    "SPINNING": ("FACE_SPINNING", as_flag),
    "CONVOLUTION_SEARCH": ("FACE_CONVOLUTION_SEARCH", as_text),
    "FP16": ("FACE_FP16", as_flag),
    "ENGINE_CACHE_DIR": ("FACE_ENGINE_CACHE_DIR", as_text),
    "REPAIR_GRAPHS": ("FACE_REPAIR_GRAPHS", as_flag),
    "REDUCED_DECODING": ("FACE_REDUCED_DECODING", as_flag),
    "DECODE_THREADS": ("FACE_DECODE_THREADS", as_whole),
    "MAX_IMAGE_BYTES": ("FACE_MAX_IMAGE_BYTES", as_whole),
    "MAX_IMAGE_PIXELS": ("FACE_MAX_IMAGE_PIXELS", as_whole),
    "MAX_QUERY_PIXELS": ("FACE_MAX_QUERY_PIXELS", as_whole),
    "MAX_DECODED_BYTES": ("FACE_MAX_DECODED_BYTES", as_whole),
    "MIN_FACE_SCORE": ("FACE_MIN_SCORE", as_number),
    "MIN_FACE_PIXELS": ("FACE_MIN_PIXELS", as_whole),
    "MIN_FACE_QUALITY": ("FACE_MIN_QUALITY", as_number),
    "SMALLEST_FACE_PIXELS": ("FACE_SMALLEST_PIXELS", as_whole),
    "LONGEST_SIDE_PIXELS": ("FACE_LONGEST_SIDE_PIXELS", as_whole),
}
MILVUS: Final[Variables] = {
    "URI": ("MILVUS_URI", as_text),
    "HOST": ("MILVUS_HOST", as_text),
    "PORT": ("MILVUS_PORT", as_whole),
    "TOKEN": ("MILVUS_TOKEN", as_text),
    "USER": ("MILVUS_USER", as_text),
    "PASSWORD": ("MILVUS_PASSWORD", as_text),
    "DATABASE": ("MILVUS_DATABASE", as_text),
    "CONNECTION_ALIAS": ("MILVUS_CONNECTION_ALIAS", as_text),
    "SECURE": ("MILVUS_SECURE", as_flag),
    "CA_PEM_PATH": ("MILVUS_CA_PEM_PATH", as_text),
    "CLIENT_PEM_PATH": ("MILVUS_CLIENT_PEM_PATH", as_text),
    "CLIENT_KEY_PATH": ("MILVUS_CLIENT_KEY_PATH", as_text),
    "SERVER_PEM_PATH": ("MILVUS_SERVER_PEM_PATH", as_text),
    "SERVER_NAME": ("MILVUS_SERVER_NAME", as_text),
    "TIMEOUT": ("MILVUS_TIMEOUT", as_number),
    "MAX_RETRIES": ("MILVUS_MAX_RETRIES", as_whole),
    "RETRY_DELAY": ("MILVUS_RETRY_DELAY", as_number),
}
COLLECTION: Final[Variables] = {
    "NAME": ("MILVUS_COLLECTION", as_text),
    "DIMENSION": ("MILVUS_DIMENSION", as_whole),
    "METRIC_TYPE": ("MILVUS_METRIC_TYPE", as_text),
    "INDEX_TYPE": ("MILVUS_INDEX_TYPE", as_text),
    "INDEX_PARAMS": ("MILVUS_INDEX_PARAMS", as_json_object),
    "SEARCH_PARAMS": ("MILVUS_SEARCH_PARAMS", as_json_object),
    "AUTO_CREATE": ("MILVUS_AUTO_CREATE", as_flag),
    "AUTO_LOAD": ("MILVUS_AUTO_LOAD", as_flag),
    "MAX_CAPACITY": ("MILVUS_MAX_CAPACITY", as_whole),
}
PERFORMANCE: Final[Variables] = {
    "CONNECTION_POOL_SIZE": ("MILVUS_CONNECTION_POOL_SIZE", as_whole),
    "MAX_CONNECTIONS": ("MILVUS_MAX_CONNECTIONS", as_whole),
    "BATCH_SIZE": ("MILVUS_BATCH_SIZE", as_whole),
    "SEARCH_TIMEOUT": ("MILVUS_SEARCH_TIMEOUT", as_number),
    "INSERT_TIMEOUT": ("MILVUS_INSERT_TIMEOUT", as_number),
    "HEALTH_TIMEOUT": ("MILVUS_HEALTH_TIMEOUT", as_number),
    "ENABLE_CACHING": ("ENABLE_CACHING", as_flag),
    "CACHE_TTL": ("CACHE_TTL", as_number),
    "CACHE_MAX_SIZE": ("CACHE_MAX_SIZE", as_whole),
}
MONITORING: Final[Variables] = {
    "ENABLE_METRICS": ("ENABLE_METRICS", as_flag),
    "ENABLE_TRACING": ("ENABLE_TRACING", as_flag),
    "LOG_LEVEL": ("MONITORING_LOG_LEVEL", as_text),
    "LOG_REQUESTS": ("LOG_REQUESTS", as_flag),
    "LOG_RESPONSES": ("LOG_RESPONSES", as_flag),
    "METRICS_INTERVAL": ("METRICS_INTERVAL", as_number),
    "HEALTH_CHECK_INTERVAL": ("HEALTH_CHECK_INTERVAL", as_number),
}
