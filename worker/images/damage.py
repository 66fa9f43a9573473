"""Pictures that are damaged and can be seen even so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageWarning:
    """What is wrong with a picture that could be decoded: a stable code, and one sentence for a person."""

    code: str
    message: str


def incomplete(missing_share: float) -> ImageWarning:
    """Return the warning for a picture whose file lacks this share of it (0..1), from its end."""
    return ImageWarning("image_incomplete", f"The file is cut short or damaged: {missing_share:.0%} of it is missing.")
