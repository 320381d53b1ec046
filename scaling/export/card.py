"""The model card: what the model is, what it was trained on, how it did."""

from typing import Any

from scaling.config import FilesCorpus, RunConfig, StoriesCorpus, TinyStoriesCorpus

_LOADING = {
    "hf": """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
ids = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, do_sample=True, max_new_tokens={new})[0]))
```
""",
    "safetensors": """\
`model.safetensors` holds the weights by the names of tinyscale's own decoder, which transformers
has no twin of or was not asked for. With tinyscale installed:

```
python load.py "Once upon a time"
```
""",
    "onnx": """\
`model.onnx` takes token ids `[batch, time]`, a time of at most {context}, and gives the logits of
each next token, `[batch, time, vocabulary]`. Texts begin with the token {eot}.

```python
import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("{folder}/tokenizer.json")
session = InferenceSession("{folder}/model.onnx")
ids = tokenizer.encode("Once upon a time").ids
for _ in range({context} - len(ids)):
    (logits,) = session.run(None, {{"input_ids": np.array([ids])}})
    ids.append(int(logits[0, -1].argmax()))
    if ids[-1] == {eot}:
        break
print(tokenizer.decode(ids))
```
""",
}


def data_set(config: RunConfig) -> tuple[str, str]:
    """The data's name and its licence, for people."""
    match config.data.corpus:
        case StoriesCorpus(documents=documents, seed=seed):
            return (
                f"tinyscale's own generated stories (seed {seed}, {documents:,} documents)",
                "made by tinyscale's generator and under the licence of tinyscale",
            )
        case TinyStoriesCorpus(version=version):
            return (
                f"TinyStories {version} (Eldan and Li, arXiv:2305.07759)",
                "CDLA-Sharing-1.0",
            )
        case FilesCorpus() as corpus:
            return f"files {corpus.files or corpus.train}", "not known: name it before you share"
    raise AssertionError(config.data.corpus)


def card(metadata: dict[str, Any], config: RunConfig, folder: str) -> str:
    """The text of README.md, for an export's `metadata` in a folder of that name."""
    model = config.model
    data, licence = data_set(config)
    library = {"hf": "transformers", "onnx": "onnx"}.get(metadata["format"], "tinyscale")
    front = f"---\nlibrary_name: {library}\npipeline_tag: text-generation\n"
    knows = "It knows its training text and nothing else"
    if not isinstance(config.data.corpus, FilesCorpus):
        knows = "It writes simple stories; it knows nothing else"
        front += "language: en\n"
    front += f"tags: [tinyscale, {metadata['family'] or model.attention.kind}]\n---\n"
    rows = {
        "parameters": f"{metadata['parameters_total']:,}"
        f" ({metadata['parameters_non_embedding']:,} without embeddings)",
        "shape": f"{model.n_layers} blocks of width {model.d_model}, {model.n_heads} heads,"
        f" {model.attention.kind} attention, {model.feedforward.kind} feedforward,"
        f" {model.position.kind} positions, context {config.data.context_length}",
        "tokenizer": f"{config.data.tokenizer.kind}, {metadata['vocab_size']:,} entries",
        "data": data,
        "licence of the data": licence,
        "trained on": f"{metadata['tokens']:,} tokens, {metadata['step']:,} steps, seed"
        f" {metadata['seed']}",
    }
    figures = {key: metadata[key] for key in ("val_loss", "val_bpb")} | metadata["metrics"]
    for key, value in figures.items():
        if value is not None:
            rows[key.replace("_", " ")] = _number(value)
    loading = _LOADING[metadata["format"]].format(
        folder=folder,
        context=config.data.context_length,
        new=min(100, config.data.context_length // 2),
        eot=metadata["eot"],
    )
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"{front}\n# {metadata['name']}\n\nA small language model trained with tinyscale, for"
        f" studying how such models scale. {knows}, and what it writes may be wrong.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"{loading}\n"
        f"Losses are in nats per token, `bpb` in bits per byte of text. Run"
        f" `{metadata['run'] or ''}`, config identity `{metadata['identity']}`;"
        " `tinyscale.yaml` is the whole config.\n"
    )


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
