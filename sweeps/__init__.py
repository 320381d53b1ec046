"""Many runs: what a sweep wants, what the store has of it, and how the rest gets made.

`spec.py` is a sweep file as data, `reading.py` how files and flags become one. `axes.py` and
`space.py` say what varies, `wanted.py` which runs that makes. `ledger.py` knows what is there,
`plan.py` shows it all beforehand. `driver.py` makes what is missing: `cohorts.py` groups runs,
an executor trains them, `search.py` asks Optuna. `record.py` is the sweep's own run, the parent.
"""
