"""Findings about a run: the store shows the latest, not the largest."""

from pathlib import Path

from scaling.tracking.reports import log_finding
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config


def test_the_latest_finding_is_shown(workplace: Path) -> None:
    run = make_run(Path("runs"), tiny_config(""), byte_tokenizer())
    uri = run.read_record().uri
    sync(run, client(uri))
    run_id = Sent.read(run).run_id
    assert run_id is not None
    (workplace / "found").mkdir()
    for key, value in (("one", 0.9), ("two", 0.2), ("two", 0.2)):
        log_finding(
            uri,
            run_id,
            name="evals/set",
            key=key,
            folder=workplace / "found",
            metrics={"eval/set/accuracy": value},
            step=30,
        )
    assert client(uri).get_run(run_id).data.metrics["eval/set/accuracy"] == 0.2
    history = client(uri).get_metric_history(run_id, "eval/set/accuracy")
    assert [point.value for point in history] == [0.9, 0.2]
