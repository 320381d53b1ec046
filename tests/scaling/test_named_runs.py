"""Finding trained runs among all that is in their folder, and what cannot be read as one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scaling.errors import UserError
from scaling.export.write import export
from scaling.runs import find_each, find_run, read_config
from scaling.tracking.folder import RunFolder
from scaling.trained import Trained, find_trained, of_run, told_apart
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

Call = Callable[..., subprocess.CompletedProcess[str]]


def make(name: str, parent: Path = Path("runs"), **tags: str) -> RunFolder:
    folder = make_run(parent, tiny_config(f"--name {name}"), byte_tokenizer())
    folder.update(tags=folder.read_record().tags | tags)
    return folder


def adaptation(name: str) -> RunFolder:
    """A run folder as `tinyscale adapt` leaves it, beside the trainings."""
    folder = make(name, Path("runs"), **{"tinyscale.kind": "adaptation"})
    (folder.path / "config.yaml").write_text(yaml.safe_dump({"name": name, "inner_steps": 3}))
    return folder


def test_an_adaptation_is_not_taken_for_a_training_run(workplace: Path) -> None:
    trained = make("gqa")
    adapted = adaptation("adaptation")
    for text in ("adaptation", adapted.path.name, str(adapted.path), adapted.read_record().id):
        with pytest.raises(
            UserError, match=r"adaptation-\w+ is an adaptation, not a training run"
        ):
            find_trained(text)
    adaptation("gqa")  # of the same name, and newer
    assert find_run("gqa").path == trained.path.resolve()
    with pytest.raises(
        UserError, match=r"There is no run adaptatoin in .*; 1 runs are there; name one that"
    ):
        find_run("adaptatoin")


@pytest.mark.usefixtures("workplace")
def test_a_run_is_resumed_once(tinyscale_here: Call) -> None:
    run = make("gqa").read_record()
    for names in ("gqa,gqa", f"gqa,{run.id}"):
        done = tinyscale_here("train", "--resume", names)
        assert done.returncode == 2
        assert f"--resume {names} means one run twice" in done.stderr


def test_runs_whose_names_have_commas_are_named_alone_and_together(
    workplace: Path, tinyscale_here: Call
) -> None:
    wide, deep, plain = make("w-d_model=64,lr=0.003"), make("w-d_model=64,lr=0.01"), make("gqa")
    for several in ([wide], [wide, plain], [deep, wide], [plain, deep, wide], [plain, plain]):
        for called in ((one.path.name for one in several), (str(one.path) for one in several)):
            found = find_each(",".join(called), find_run)
            assert [one.path for one in found] == [one.path.resolve() for one in several]
    for text in ("gqa,lr=0.01", "w-d_model=64,gqa"):
        with pytest.raises(UserError, match=r"There is no run (lr=0.01|w-d_model=64) in"):
            find_each(text, find_run)
    done = tinyscale_here("train", "--resume", wide.path.name)
    assert f"{wide.path.name} is finished; there is nothing to resume" in done.stderr


def test_a_config_of_another_version_is_a_sentence(workplace: Path) -> None:
    folder = make("gqa")
    export(of_run(folder), "safetensors", Path("out"))
    for file, name in ((folder.path / "config.yaml", "gqa"), (Path("out/tinyscale.yaml"), "out")):
        tree = yaml.safe_load(file.read_text())
        tree["model"]["n_heds"] = 3
        file.write_text(yaml.safe_dump(tree))
        with pytest.raises(UserError, match=r"is of another version of tinyscale: .*n_heds"):
            find_trained(name)
    with pytest.raises(UserError, match="another version"):
        read_config(folder)


def test_labels_are_as_long_as_it_takes(workplace: Path) -> None:
    def at(place: str) -> Trained:
        if not Path(place).exists():
            export(of_run(run), "safetensors", Path(place))
        return find_trained(place)

    run = make("gqa")
    places = ["x/a/model", "x/b/model", "y/a/model", "other"]
    told = told_apart([*map(at, places), of_run(run)])
    assert [one.label for one in told] == [
        "x/a/model",
        "b/model",
        "y/a/model",
        "other",
        run.path.name,
    ]
