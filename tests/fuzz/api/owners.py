"""The planted galleries."""

from typing import Final

#: By name: whose it is. The shared one has a viewer and an editor.
GALLERIES: Final = {"shared": "ada", "secret": "ada", "other": "bob", "edith's": "edith"}
