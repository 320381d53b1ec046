"""Prompt evals: a prompt set asked of any set of runs, compared, and put on record.

`evaluate.py` asks one model (or finds the answers of an unchanged one in its `record.py`),
`tables.py` makes the comparisons with their intervals, `figures.py` the pictures, and `report.py`
writes the folder and the artifacts. The prompt file itself is `scaling.prompts`.
"""
