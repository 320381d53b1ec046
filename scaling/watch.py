"""What a run writes and knows as it learns: samples and a small prompt score, at an interval."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from scaling.cohort import Cohort
from scaling.prompts.answer import Answer, AskSettings, ask
from scaling.prompts.shipped import find_prompts
from scaling.runs import build_model
from scaling.sampling import SamplingSettings, generate
from scaling.tracking.folder import write_whole

if TYPE_CHECKING:
    from scaling.tracking.tracker import Tracker

SAMPLES = SamplingSettings(max_tokens=120)


class Watch:
    """Asks each member of a cohort; nothing it does changes what is learned.

    Samples go to the run folder as `samples/step-<n>.md`, the score to the metrics
    `prompts/accuracy` and, where probabilities decide, `prompts/p_right`.
    """

    def __init__(self, cohort: Cohort) -> None:
        """Raises `UserError` for a prompt set that is none, before anything is trained."""
        self.cohort, evaluation = cohort, cohort.config.evaluation
        self.prompts = evaluation.prompts
        name = evaluation.prompt_set
        self.asked = None if name is None else find_prompts(name).first(evaluation.prompt_limit)

    def __call__(self, trackers: "Sequence[Tracker]", step: int, skip: Sequence[bool]) -> None:
        """Ask every member that is not to be skipped."""
        cohort = self.cohort
        random = torch.get_rng_state()  # samplers have streams of their own; to be sure
        for k, tracker in enumerate(trackers):
            if skip[k]:
                continue
            tokenizer = cohort.data[k].tokenizer
            runtime = replace(cohort.runtime, compile=False)
            model = build_model(cohort.configs[k], cohort.weights(k), tokenizer, runtime)
            if self.prompts:
                texts = generate(model, tokenizer, self.prompts, SAMPLES)
                parts = [f"# {tracker.folder.path.name} at step {step:,}\n"]
                parts += [f"**{p}**{text}\n" for p, text in zip(self.prompts, texts, strict=True)]
                place = tracker.folder.path / "samples" / f"step-{step:07d}.md"
                write_whole(place, "\n".join(parts))
            if self.asked is not None:
                tracker.log(step, score(ask(model, tokenizer, self.asked, AskSettings())))
        torch.set_rng_state(random)


def score(answers: Sequence[Answer]) -> dict[str, float]:
    """The metrics of a prompt set's answers."""
    found = {"prompts/accuracy": sum(a.passed for a in answers) / len(answers)}
    chosen = [a.p_right for a in answers if a.p_right is not None]
    if chosen:
        found["prompts/p_right"] = sum(chosen) / len(chosen)
    return found
