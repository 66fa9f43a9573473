"""The indexes and metrics that a collection may use, their parameters, and how these depend on each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Parameter:
    """An integer parameter of an index: its default, and the bounds that Milvus documents."""

    default: int
    least: int = 1
    most: int = 65_536


@dataclass(frozen=True, slots=True)
class Index:
    """The parameters for building an index and for searching it.

    `candidates` names the search parameter that must be at least the limit of a search, or Milvus refuses the search.
    In each pair in `ordered`, the first parameter must not exceed the second.
    """

    build: Mapping[str, Parameter] = field(default_factory=dict)
    search: Mapping[str, Parameter] = field(default_factory=dict)
    candidates: str = ""
    ordered: tuple[tuple[str, str], ...] = ()


_IVF = Index(
    build={"nlist": Parameter(1024)},
    search={"nprobe": Parameter(512)},
    ordered=(("nprobe", "nlist"),),
)

#: By INDEX_TYPE. The values of most examples (IVF_FLAT, nlist 1024, nprobe 10) lost 15 % of the true matches among
#: 100,000 faces on Milvus, and nprobe 256 lost 3.6 %; these lose 1 %, and HNSW with ef 1024 loses none. DISKANN and
#: GPU_CAGRA need a server with fast disks or a GPU; they use Milvus' defaults, with 1024 candidates as for HNSW.
INDEXES: Mapping[str, Index] = {
    "FLAT": Index(),
    "IVF_FLAT": _IVF,
    "IVF_SQ8": _IVF,
    "HNSW": Index(
        build={"M": Parameter(16, least=2, most=2048), "efConstruction": Parameter(200)},
        search={"ef": Parameter(1024)},
        candidates="ef",
        ordered=(("M", "efConstruction"),),
    ),
    "AUTOINDEX": Index(),
    "DISKANN": Index(search={"search_list": Parameter(1024)}, candidates="search_list"),
    "GPU_CAGRA": Index(
        build={"intermediate_graph_degree": Parameter(128), "graph_degree": Parameter(64)},
        search={"itopk_size": Parameter(1024, most=1024), "search_width": Parameter(4)},
        candidates="itopk_size",
        ordered=(("graph_degree", "intermediate_graph_degree"),),
    ),
}

#: Milvus Lite 3.2.2 accepts any name, searches without an index, and reports the failed build only in its log.
INDEXES_OF_MILVUS_LITE = frozenset({"FLAT", "IVF_FLAT", "IVF_SQ8", "HNSW", "AUTOINDEX"})

#: By METRIC_TYPE: converts the server's number to the cosine, for vectors of unit length. Milvus' L2 is the squared
#: distance, which is 2 - 2 cos.
METRICS: Mapping[str, Callable[[float], float]] = {
    "COSINE": lambda cosine: cosine,
    "IP": lambda product: product,
    "L2": lambda squared_distance: 1.0 - squared_distance / 2.0,
}
