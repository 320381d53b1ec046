"""The prompt set of the embedded corpus, made from the corpus's own tables.

Every prompt begins a story that the corpus could tell, in its own words. The right answer goes on
with it; each wrong one contradicts a fact, of the world or of the story so far. Both are checked
with the corpus's reader as the set is made, so it can never disagree with what models learn from.

    python -m scaling.prompts.stories > scaling/prompts/sets/stories.yaml
"""

from scaling.prompts.stories.make import make, to_yaml

__all__ = ["make", "to_yaml"]
