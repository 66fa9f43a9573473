"""A GIF's screen: the area that its frames are drawn on, which may be larger than they are."""

from PIL import GifImagePlugin
from PIL import Image as Pillow


def screen_of(picture: Pillow.Image) -> Pillow.Image:
    """Return a loaded picture; of a GIF whose frame leaves some of its screen empty, the frame on a white screen.

    Browsers show nothing there and ignore the background colour of GIF89a, section 18; Pillow makes it black.
    """
    if not isinstance(picture, GifImagePlugin.GifImageFile):
        return picture
    place = picture.dispose_extent
    if place is None or place == (0, 0, *picture.size):
        return picture
    frame = picture.crop(place).convert("RGBA")
    screen = Pillow.new("RGB", picture.size, "white")
    screen.paste(frame, place[:2], frame)
    return screen
