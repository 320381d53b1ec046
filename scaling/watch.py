"""What a run writes and knows as it learns: samples and a small prompt score, at an interval."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from scaling.cohort import Cohort
from scaling.config import EvaluationConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.prompts.answer import Answer, AskSettings, ask
from scaling.prompts.shipped import find_prompts
from scaling.runs import build_model
from scaling.sampling import NOT_FINITE, SamplingSettings, generate
from scaling.tracking.folder import write_whole

if TYPE_CHECKING:
    from scaling.tracking.tracker import Tracker

SAMPLES = SamplingSettings(max_tokens=120)


class Watch:
    """Asks each member of a cohort; nothing it does changes what is learned.

    Samples go to the run folder as `samples/step-<n>.md`, the score to the metrics
    `prompts/accuracy` and, where probabilities decide, `prompts/p_right`. Of a member whose
    scores are not finite there are none.
    """

    def __init__(self, evaluation: EvaluationConfig) -> None:
        """Raises `UserError` for a prompt set that is none, before anything is trained."""
        self.prompts = evaluation.prompts
        name = evaluation.prompt_set
        self.asked = None if name is None else find_prompts(name).first(evaluation.prompt_limit)

    def __call__(
        self, cohort: Cohort, trackers: "Sequence[Tracker]", step: int, skip: Sequence[bool]
    ) -> None:
        """Ask every member that is not to be skipped."""
        random = torch.get_rng_state()  # samplers have streams of their own; to be sure
        for k, tracker in enumerate(trackers):
            if skip[k]:
                continue
            runtime = replace(cohort.runtime, compile=False)
            weights, tokenizer = cohort.weights(k), cohort.data[k].tokenizer
            model = build_model(cohort.configs[k], weights, tokenizer, runtime)
            # One whose scores are not finite says so by raising; the others are to go on.
            with suppress(UserError):
                self._ask(model, tokenizer, tracker, step)
        torch.set_rng_state(random)

    def _ask(self, model: Decoder, tokenizer: Tokenizer, tracker: "Tracker", step: int) -> None:
        if self.prompts:
            texts = generate(model, tokenizer, self.prompts, SAMPLES)
            parts = [f"# {tracker.folder.path.name} at step {step:,}\n"]
            parts += [
                f"**{p.rstrip(' ')}**{text}\n" for p, text in zip(self.prompts, texts, strict=True)
            ]
            place = tracker.folder.path / "samples" / f"step-{step:07d}.md"
            write_whole(place, "\n".join(parts))
        if self.asked is not None:
            answers = ask(model, tokenizer, self.asked, AskSettings())
            if all(answer.remark != NOT_FINITE for answer in answers):
                tracker.log(step, score(answers))


def score(answers: Sequence[Answer]) -> dict[str, float]:
    """The metrics of a prompt set's answers."""
    found = {"prompts/accuracy": sum(a.passed for a in answers) / len(answers)}
    chosen = [a.p_right for a in answers if a.p_right is not None]
    if chosen:
        found["prompts/p_right"] = sum(chosen) / len(chosen)
    return found
