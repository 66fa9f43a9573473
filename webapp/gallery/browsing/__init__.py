"""Looking through a gallery: which of its photos are shown, in which order, and what is beside one of them."""
