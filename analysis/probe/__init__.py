"""Story probes: the same prompts continued by several models, side by side.

`write.py` has the models write, `prompts.py` reads what they begin with, `quality.py` measures
what they wrote, `gallery.py` shows it, and `report.py` writes the folder and the artifacts.
"""
