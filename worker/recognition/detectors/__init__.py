"""Detectors, one file per architecture: pictures in, boxes with five landmarks out."""
