"""The run's logged model: loaded by MLflow, registered, refused with reasons."""

from pathlib import Path

import pytest

from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, generate
from scaling.tracking.registry import register_model
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.trained import of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config


def test_the_logged_model_is_a_pyfunc(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    config = tiny_config("--data.context_length 64")
    run = make_run(Path("runs"), config, byte_tokenizer(), spread=0.1)
    trained = of_run(run)
    with pytest.raises(UserError, match="doctor"):
        register_model(trained, "storyteller")
    uri = run.read_record().uri
    sync(run, client(uri))
    assert register_model(trained, "storyteller") == "1"
    assert register_model(trained, "storyteller") == "2"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    prompts = ["One day", "A"]
    settings = SamplingSettings(max_tokens=7, temperature=0.5, top_k=None, top_p=0.9, seed=3)
    expected = generate(*trained.load(resolve(RuntimeConfig())), prompts, settings)
    params = {"max_tokens": 7, "temperature": 0.5, "top_k": 0, "top_p": 0.9, "seed": 3}
    for name in ("models:/storyteller/1", f"models:/{Sent.read(run).model_id}"):
        served = mlflow.pyfunc.load_model(name)
        assert served.predict(prompts, params=params) == expected
    assert len(served.predict("One day")) == 1
    with pytest.raises(UserError, match="cannot be registered"):
        register_model(trained, "a/b:c")
