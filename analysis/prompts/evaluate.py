"""One model asked a prompt set: rows, a row a completion."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.prompts import record
from analysis.prompts.record import Rows
from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.prompts.answer import CUT, GIVEN_UP, Answer, AskSettings, ask
from scaling.prompts.item import PromptSet
from scaling.runtime import Runtime, resolve
from scaling.sampling import NOT_FINITE
from scaling.trained import Trained

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """What a set of models answered."""

    prompts: PromptSet
    settings: AskSettings
    models: list[Trained]
    results: pd.DataFrame  # a row a completion
    keys: list[str]  # the models' records
    fresh: int  # how many models had to be asked


def evaluate(
    models: Sequence[Trained],
    prompts: PromptSet,
    settings: AskSettings,
    *,
    again: bool = False,
    say: Say = lambda _: None,
) -> Evaluation:
    """Ask each model, or read its answers from the record where nothing has changed.

    In fp32 everywhere, so that scores do not depend on the machine but for rounding.

    Raises:
        UserError: a model's scores are not finite. It is named; what others have answered before
            it is on record.
    """
    frames, keys, fresh = [], [], 0
    runtime = resolve(RuntimeConfig(precision="fp32", compile=False))
    for number, trained in enumerate(models, start=1):
        key = record.key_of(trained, prompts, settings)
        rows = None if again else record.read(trained, key)
        start = time.perf_counter()
        if rows is None:
            rows = _asked(trained, prompts, settings, runtime, say)
            try:
                # Of a pattern that ran out of time a less busy machine may tell.
                if not any(str(row["remark"]).endswith(GIVEN_UP) for row in rows):
                    record.write(trained, key, rows)
            except OSError as error:  # as of a folder that is another's
                say(f"{trained.label}: its answers are not on record: {error.strerror}")
            fresh += 1
            took = f"{time.perf_counter() - start:.1f} s"
        else:
            took = "from the record"
        if cut := len({row["id"] for row in rows if row["remark"] == CUT}):
            say(
                f"{trained.label}: {cut} of {len(prompts.items)} items are longer, with their"
                " answers, than its context and were asked without their beginnings: its scores"
                " compare with no others"
            )
        passed = sum(bool(row["passed"]) for row in rows) / len(rows)
        say(f"{number}/{len(models)} {trained.label}: {passed:.1%} pass, {took}")
        frames.append(_frame(trained, rows))
        keys.append(key)
    results = pd.concat(frames, ignore_index=True)
    return Evaluation(prompts, settings, list(models), results, keys, fresh)


def _asked(
    trained: Trained, prompts: PromptSet, settings: AskSettings, runtime: Runtime, say: Say
) -> Rows:
    model, tokenizer = trained.load(runtime)
    texts = [[i.prompt, *(i.options if i.by_probability else ())] for i in prompts.items]
    strange = sum(not all(map(tokenizer.knows, parts)) for parts in texts)
    if strange:
        say(
            f"{trained.label}: {strange} of {len(texts)} items hold characters that its tokenizer"
            " does not know: it reads <unk> there, as nowhere in its training"
        )
    try:
        answers = ask(model, tokenizer, prompts, settings)
    except UserError as error:  # in writing; what is chosen has a remark
        raise UserError(f"{trained.label}: {error}") from None
    if any(answer.remark == NOT_FINITE for answer in answers):
        raise UserError(f"{trained.label}: {NOT_FINITE}")
    return [_row(answer) for answer in answers]


def _row(answer: Answer) -> dict[str, object]:
    item = answer.item
    return {
        "id": item.id,
        "category": item.category,
        "difficulty": item.difficulty,
        "kind": "choices" if item.by_probability else item.match or "contains",
        "sample": answer.sample,
        "prompt": item.prompt,
        "answer": " | ".join(item.answers),
        "completion": answer.text,
        "passed": answer.passed,
        "points": answer.points,
        "score": item.score,
        "chance": item.chance,
        "p_right": answer.p_right,
        "log_p_right": answer.log_p,
        "remark": answer.remark,
    }


def _frame(trained: Trained, rows: Rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    frame.insert(0, "run", trained.label)
    frame.insert(1, "run_id", trained.run_id or "")
    frame.insert(2, "step", trained.step)
    return frame
