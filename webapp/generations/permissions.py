"""What Django's permissions allow with generations. Every member of the staff may look at them."""

from typing import Final

#: Build one beside the active one.
START: Final = "generations.add_generation"
#: Pause, fill faster or slower, search with other parameters, check, activate, roll back.
CHANGE: Final = "generations.change_generation"
#: Drop one with its collection.
DROP: Final = "generations.delete_generation"
