"""Models that leave the store: folders that other tools load.

`write.py` writes a folder and `folder.py` reads one back. `fold.py` rewrites a model as a plain
one that computes the same, `families.py` says which model of Hugging Face's transformers that is,
and `names.py` which of its weights is which of ours; `onnx.py` makes a graph of a model instead.
`tokenizer.py` and `card.py` make the files beside the weights; `pyfunc.py` is the model as MLflow
serves it.
"""
