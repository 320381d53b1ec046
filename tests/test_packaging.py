"""The files that make environments agree, and what is installed is whole."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scaling.cli import COMMANDS
from scaling.prompts.shipped import shipped_sets
from scaling.recipes import recipe_names
from sweeps.reading import sweep_names

ROOT = Path(__file__).parent.parent


def project() -> dict[str, list[Requirement]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"run": table["dependencies"], **table["optional-dependencies"]}
    return {name: [Requirement(text) for text in texts] for name, texts in groups.items()}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_constraints_pin_every_dependency_within_its_range() -> None:
    pinned = pins()
    for requirement in [r for texts in project().values() for r in texts]:
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not pinned"
        assert pinned[name] in requirement.specifier


def test_all_that_tests_need_is_installed() -> None:
    """Or what needs it is skipped, and a fault there goes unseen."""
    for requirement in project()["test"]:
        assert Version(version(requirement.name)) in requirement.specifier


def test_conda_yaml_lists_the_dependencies_at_the_pinned_versions() -> None:
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    assert pip[0] == "-c constraints.txt"
    assert pip[1:] == [r.name for r in project()["run"]]
    python = next(e for e in conda["dependencies"] if str(e).startswith("python"))
    assert Version(python.split("=")[1]) >= Version("3.11")


def test_every_command_is_an_entry_point_of_the_project() -> None:
    entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    assert set(entries) - {"main", "resume"} == set(COMMANDS)
    others = {"main": "train", "resume": "train --resume"}
    for name, entry in entries.items():
        command = others.get(name, name)
        assert entry["command"].startswith(f"python -m scaling.cli {command}")
        for parameter in re.findall(r"{(\w+)}", entry["command"]):
            assert parameter in entry["parameters"]


@pytest.mark.slow
def test_an_installed_copy_finds_its_recipes_sweeps_and_sets_from_anywhere(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    code = f"import sys; sys.path.insert(0, {str(place)!r})\n" + (
        "import json\n"
        "from pathlib import Path\n"
        "from scaling.prompts.shipped import find_prompts, shipped_sets\n"
        "from scaling.recipes import load_config, recipe_folder, recipe_names\n"
        "from sweeps.adapting.reading import read_adapt_sweep\n"
        "from sweeps.reading import SHIPPED, read_sweep, sweep_names\n"
        "for folder in (recipe_folder(), SHIPPED, *shipped_sets().values()):\n"
        "    assert Path(folder).is_relative_to(sys.path[0]), folder\n"
        "found = [recipe_names(), sweep_names(), list(shipped_sets())]\n"
        "for read, names in zip((load_config, read_sweep, find_prompts), found):\n"
        "    assert all(read(name) for name in names)\n"
        "found.append(read_adapt_sweep('adaptation').spec.name)\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    here = [recipe_names(), sweep_names(), list(shipped_sets()), "adaptation"]
    assert json.loads(done.stdout) == here
    (entries,) = place.glob("*.dist-info/entry_points.txt")
    parser = ConfigParser()
    parser.read(entries)
    assert dict(parser["console_scripts"]) == {"tinyscale": "scaling.cli:main"}
