"""Small texts for the data tests: written here, different from each other, quick to tokenize."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from scaling.data.prepare import PreparedData

Prepare = Callable[..., PreparedData]

WORDS = (
    *("the", "a", "cat", "dog", "bird", "tree", "house", "river", "sun", "moon", "red", "blue"),
    *("small", "big", "ran", "sat", "saw", "jumped", "over", "under", "with", "and", "but"),
    *("then", "happy", "sad", "old", "new", "friend", "ball", "cake", "little", "said", "went"),
)


def stories(count: int, seed: int = 0) -> list[str]:
    """Different texts of 5 to 40 words."""
    draw = random.Random(seed)
    return [
        f"Story {seed}.{i}: " + " ".join(draw.choices(WORDS, k=draw.randint(5, 40))) + "."
        for i in range(count)
    ]


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


def documents(prepared: PreparedData, split: str) -> list[str]:
    """A split's documents, decoded from its tokens."""
    packed = getattr(prepared, split)
    stream, starts = packed.tokens_array(), 1
    texts = []
    for end in packed.document_ends():
        texts.append(prepared.tokenizer.decode(stream[starts:end]))
        starts = end + 1
    return texts
