"""Adaptation: a trained model meets a text that it has not seen.

`tasks.py` is what there is to learn and how it is checked (`stories.py` makes tasks of the
embedded corpus, `files.py` reads one's own); `edits.py` turns a passage into training text,
written by a `policy.py`; `lora.py` and `inner.py` learn it, many adaptations as members of one
program; `measure.py` says what was gained and what forgotten; `reward.py` scores candidates and
trains the policy on the best; `job.py` is the whole way of a group of adaptations, `config.py` one
as data; `adapters.py` and `peft_format.py` keep adapters.
"""
