"""What adaptations say: how gain and forgetting grow, their fronts, and whether self-edits pay.

`table.py` reads them from the store, `laws.py` fits them, `answers.py` tests self-edits against
verbatim ones, `figures.py` draws and `report.py` tells; `study.py` is all of it together.
"""
