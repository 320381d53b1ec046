"""Sweeps of adaptations: every adaptation that a file wants, by the same driver as trainings.

`spec.py` is the file, `reading.py` reads it, `material.py` finds what is learned and who writes
edits of it, `baselines.py` finds or trains what is adapted, `wanted.py` says which adaptations
there are and which are made together, `work.py` makes them in a worker, `conduct.py` is the whole
way and `closing.py` its end.
"""
