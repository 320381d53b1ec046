"""Figures that one would put in a paper, each saved as PNG and SVG with its CSV beside."""
