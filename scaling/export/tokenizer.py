"""The tokenizer as `AutoTokenizer` reads it."""

import json
from pathlib import Path

from scaling.data.tokenizer import END_OF_TEXT, UNKNOWN, Tokenizer


def write_tokenizer(tokenizer: Tokenizer, context_length: int, folder: Path) -> None:
    """`tokenizer.json`, which puts the end-of-text token first as in training, and its config."""
    tokenizer.save(folder / "tokenizer.json")
    tree = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    start = {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}
    text, other = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    tree["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [start, text],
        "pair": [start, text, start, other],
        "special_tokens": {
            END_OF_TEXT: {"id": END_OF_TEXT, "ids": [tokenizer.eot], "tokens": [END_OF_TEXT]}
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        # Before version 5 transformers adds token_type_ids, which its rotary models refuse and its
        # GPT-2 adds to the embeddings.
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
    }
    if tokenizer.unknown is not None:
        config["unk_token"] = UNKNOWN
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
