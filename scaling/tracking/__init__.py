"""The record of a run: written to its folder first, then carried to the MLflow store.

`folder.py` is the run folder, the truth. `tracker.py` is what the trainer talks to. `sender.py`
carries what the folder holds to the store, from a thread that the run never waits for; `store.py`
says how; `reports.py` logs what analyses make, and `registry.py` registers models. `artifacts.py`
makes the final tables and figures.
"""
