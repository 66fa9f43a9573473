"""How well packs recognise people, and what that costs, beside dlib's own: `python -m benchmarks.accuracy`."""
