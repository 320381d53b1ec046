from datetime import date
from pathlib import Path

import pytest
import yaml

from scaling.errors import UserError
from scaling.reading import read_data
from scaling.recipes import load_config


def test_the_ending_says_how_a_file_is_read(tmp_path: Path) -> None:
    for name, text in {
        "a.yaml": "- {rate: 1e-3}\n- {said: 'a\u2028b'}\n",
        "a.json": '[{"rate": 1e-3},\n {"said": "a\u2028b"}]',
        "a.jsonl": '{"rate": 1e-3}\r\n\n{"said": "a\u2028b"}\n',  # one line, as JSON has it
    }.items():
        for mark in (b"", b"\xef\xbb\xbf"):  # as Windows puts it first
            (tmp_path / name).write_bytes(mark + text.encode())
            assert read_data(tmp_path / name) == [{"rate": 1e-3}, {"said": "a\u2028b"}], name


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", b"a: 1\nb: [\n", "not valid YAML at line 3: "),
        ("a.json", b'{\n"a": }', "not valid JSON at line 2: Expecting value."),
        ("a.jsonl", b'{"a": 1}\n\n{"a"\n', "not valid JSON at line 3: Expecting ':' delimiter."),
        ("a.yaml", b"\xff\xfe", "cannot be read: it is not UTF-8."),
        (
            "a.yaml",
            b"a: {b: 1}\nc: 2\na: {d: 3}\n",
            "not valid YAML at line 3: the key 'a' stands",
        ),
        (
            "a.yaml",
            b"- a: 1\n  b: [{c: 1, c: 1}]\n",
            "not valid YAML at line 2: the key 'c' stands",
        ),
        (
            "a.json",
            b'[{"a": 1, "b": 2, "a": 1}]',
            "not valid JSON: an object has the key 'a' twice.",
        ),
        (
            "a.jsonl",
            b'{"a": 1}\n{"b": 1, "b": 2}',
            "not valid JSON: an object has the key 'b' twice.",
        ),
    ],
)
def test_a_broken_file_is_one_sentence_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_data(Path.cwd() / name)
    assert str(caught.value).startswith(f"{name}: {said}")


def test_what_an_anchor_brings_may_be_given_anew(tmp_path: Path) -> None:
    lines = ["x: {a: &a {p: 1, q: 1}, b: &b {<<: *a, q: 2}}", "y: {<<: *b, p: 3}"]
    lines += ["z: [*a, *a]", "w: {<<: *a, <<: *b}"]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    found = read_data(tmp_path / "a.yaml")
    assert found["y"] == {"p": 3, "q": 2} and found["z"] == [{"p": 1, "q": 1}] * 2
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert read_data(tmp_path / "a.yaml") is None


def test_a_date_is_text_and_need_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: 2026-02-30\nat: [2026-11-22, 2026-11-22 07:30:00]\n")
    found = read_data(tmp_path / "a.yaml")
    assert found == {"name": "2026-02-30", "at": ["2026-11-22", "2026-11-22 07:30:00"]}
    assert load_config("baseline", ["--name", "2026-11-22"]).name == "2026-11-22"
    assert load_config("baseline", ["--name", "2026-02-30"]).name == "2026-02-30"
    assert yaml.safe_load("2026-11-22") == date(2026, 11, 22)  # the library's own is left as it is


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        read_data(tmp_path / "none.yaml")
