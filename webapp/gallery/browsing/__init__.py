"""Looking through a gallery: which of its photos are shown, in which order, and what is before and after one of them."""
