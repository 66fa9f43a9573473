"""Convert the weights of the pack `dlib`, as their publishers released them, to ONNX graphs."""

from collections.abc import Callable, Mapping
from typing import Final

from worker.errors import PackDamaged
from worker.recognition.graphs.dlib_layers import read_network
from worker.recognition.graphs.dlib_network import resnet_graph
from worker.recognition.graphs.mtcnn_networks import output_graph, proposal_graph, refinement_graph

#: Part of the pack's fingerprint: to be raised whenever a graph computes something else.
CONVERSION_VERSION: Final = 1


def _resnet_graph(content: bytes, file: str) -> bytes:
    return resnet_graph(read_network(content, file))


#: Each graph's file name, the published file that it is made from, and what makes it.
_CONVERSIONS: dict[str, tuple[str, Callable[[bytes, str], bytes]]] = {
    "p_net.onnx": ("pnet.lz4", proposal_graph),
    "r_net.onnx": ("rnet.lz4", refinement_graph),
    "o_net.onnx": ("onet.lz4", output_graph),
    "resnet.onnx": ("dlib_face_recognition_resnet_model_v1.dat", _resnet_graph),
}
#: The published files' names.
SOURCES: Final = tuple(source for source, _ in _CONVERSIONS.values())


def converted(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the ONNX files by their names, made from the contents of SOURCES by theirs.

    The same sources always give the same bytes. Takes a second. Raises PackDamaged, with a sentence that names the
    file, for a source that is missing or is not what was published under its name.
    """
    missing = [name for name in SOURCES if name not in sources]
    if missing:
        raise PackDamaged(f"The pack cannot be converted without {' and '.join(missing)}.")
    return {graph: convert(sources[source], source) for graph, (source, convert) in _CONVERSIONS.items()}
