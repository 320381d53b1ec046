"""Every kind of file, and what is said of a wrong one."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from scaling.data.readers import divide, read
from scaling.errors import UserError

TEXTS = ["One day.\nThe sun came.", "Zoë said: “naïve”, didn't she?", "a,b\t'c' \"d\" \u2028 end"]


def read_all(path: Path, **options: str) -> list[str]:
    return list(read(path, **{"text_field": "text", "separator": "<|endoftext|>", **options}))


def test_jsonl_keeps_texts_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [json.dumps({"id": 1, "text": text}, ensure_ascii=False) for text in TEXTS]
    path.write_bytes(("\ufeff" + "\r\n".join(rows) + "\r\n\r\n").encode())
    assert read_all(path) == TEXTS


@pytest.mark.parametrize("indent", [None, 2])
def test_json_array(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"story": text} for text in TEXTS], indent=indent), "utf-8")
    assert read_all(path, text_field="story") == TEXTS


def test_json_may_be_lines_or_plain_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"text": TEXTS[0]}, indent=1), "utf-8")  # or one object
    assert read_all(path) == TEXTS[:1]
    path.write_text(" \n", "utf-8")
    assert read_all(path) == []
    path.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), "utf-8")
    assert read_all(path) == TEXTS
    path.write_text(json.dumps(TEXTS), "utf-8")
    assert read_all(path) == TEXTS


def test_csv_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        '\ufeffid,text\r\n1,"One, ""two""\nthree"\r\n2,four\r\n\r\n', "utf-8", newline=""
    )
    assert read_all(path) == ['One, "two"\nthree', "four"]


def test_csv_with_a_long_field(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "x" * 300_000 + "\n", "utf-8")
    assert read_all(path) == ["x" * 300_000]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"n": [1, 2, 3, 4], "text": [*TEXTS, None]}), path)
    assert read_all(path) == [*TEXTS, ""]


def test_txt_separators_crlf_and_bom(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne.\r\nTwo.\r\n<|endoftext|>\r\nThree.<|endoftext|>\n\n".encode())
    assert read_all(path) == ["One.\nTwo.", "Three.", ""]


@pytest.mark.parametrize(
    ("separator", "expected"),
    [
        ("\n\n", ["a\nb", "c<|endoftext|>d"]),
        ("\r\n\r\n", ["a\nb", "c<|endoftext|>d"]),  # as a file may have it; it is read as LF
        ("", ["a\nb\n\nc<|endoftext|>d"]),
    ],
)
def test_txt_with_another_separator(tmp_path: Path, separator: str, expected: list[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n\nc<|endoftext|>d\n", "utf-8")
    assert read_all(path, separator=separator) == expected


@given(st.lists(st.text("ab#", max_size=6)), st.sampled_from(["#", "##", "ab#", "aa"]))
def test_dividing_does_not_see_the_chunks(chunks: list[str], separator: str) -> None:
    expected = [text.strip() for text in "".join(chunks).split(separator)]
    assert list(divide(chunks, separator)) == expected


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": ', "a.jsonl line 2 is not JSON"),
        (
            "a.jsonl",
            '{"text": "x"}\n\n{"story": "x", "id": 1}',
            "a.jsonl line 3 has no field 'text',"
            " but 'story', 'id'; name the one to read with data.corpus.text_field",
        ),
        ("a.jsonl", '{"text": 3}', "line 1 holds a number in the field 'text', not text"),
        ("a.jsonl", "[1]", "line 1 is a list, neither an object nor a text"),
        ("a.json", '[{"text": "x"},\n oops]', "a.json line 2 is not JSON"),
        ("a.json", '[{"text": "x"}, {"t": "y"}]', "a.json item 2 has no field 'text'"),
        ("a.csv", "id,story\n1,x\n", "a.csv line 1 has no column 'text', but 'id', 'story'"),
        (
            "a.csv",
            'id,text\n1,"x,\ny"\n2,Once, there was\n',
            "a.csv line 4 has 3 fields, and line 1 has 2: quote the texts that hold commas",
        ),
        (
            "a.csv",
            "id,text\n1,Line one\nand line two\n",
            "a.csv line 3 has 1 fields, and line 1 has 2: quote the texts that hold line breaks",
        ),
        ("a.csv", 'text\nx\n"y\nz\n', "a.csv line 4 is not CSV: unexpected end of data"),
        ("a.csv", 'text\n"Hi," she said.\n', "a.csv line 2 is not CSV: ',' expected after"),
        (
            "a.jsonl",
            '{"text": "x"}\n{"text": "y", "id": ' + "7" * 5000 + "}",
            "a.jsonl line 2 cannot be read: Exceeds the limit",
        ),
        ("a.jsonl", "[" * 200_000, "a.jsonl line 1 cannot be read: "),
        ("a.json", '[{"text": "x", "id": ' + "7" * 5000 + "}]", "a.json cannot be read: Exceeds"),
        ("a.parquet", "PAR", "a.parquet is not a Parquet file"),
        ("a.md", "x", "a.md is of a kind (.md) that is not read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(UserError) as error:
        read_all(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_text_that_is_not_utf8(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b'{"text": "caf\xe9"}\n')
    with pytest.raises(UserError, match=r"not UTF-8 text \(it holds the byte 0xe9\)"):
        read_all(path)


def test_parquet_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"story": ["x"], "text": [1]}), path)
    with pytest.raises(UserError, match="holds int64 in the column 'text', not text"):
        read_all(path)
    with pytest.raises(UserError, match="no column 'body', but 'story', 'text'"):
        read_all(path, text_field="body")


@pytest.mark.parametrize("part", ["page", "footer"])
def test_a_damaged_parquet_is_named(tmp_path: Path, part: str) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [text * 50 for text in TEXTS]}), path)
    whole = bytearray(path.read_bytes())
    start = 30 if part == "page" else len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    whole[start : start + 20] = b"\xff" * 20
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"a\.parquet cannot be read: ") as error:
        read_all(path)
    assert "\n" not in str(error.value)
