"""Prompt sets: what a model is asked, and whether its answer passes.

`item.py` is the file format, `match.py` decides whether a text passes, `answer.py` asks a model;
`shipped.py` finds the sets of this project, which `sets/` holds, and `stories/` makes the one of
the embedded corpus from the corpus's own tables. Runs are compared in `analysis.prompts`; this
part is here because training asks too, as it goes.
"""
