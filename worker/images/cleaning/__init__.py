"""What the decoder is given of a file: the pixels and what belongs to them, and nothing else. One module per format.

So nothing that is not pixels can be a reason to refuse a picture, or change it. Metadata that we use (EXIF, colour
profile) is taken out here, within bounds, and read by our own code.
"""
