"""Query images: the faces seen in them, and what FaceIndex answers."""
