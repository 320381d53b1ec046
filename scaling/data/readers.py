"""Documents out of files: .txt, .jsonl, .json, .csv and .parquet, one document at a time."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scaling.errors import UserError

SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".parquet")
_CHUNK = 1 << 20
# What `json` raises for numbers of too many digits and for lists too deep: JSON, but unreadable.
_BEYOND = (ValueError, RecursionError)
_FIELD_LIMIT = 2**31 - 1  # the longest CSV field that every platform's C long can name


def read(path: Path, *, text_field: str, separator: str) -> Iterator[str]:
    """Yield the documents of one file in its order, by its suffix; memory is one document's.

    (A .json file that is one array is parsed whole.) Raises UserError, naming file and line, for
    what is not of the form that the suffix promises, or lacks the field.
    """
    try:
        match path.suffix.lower():
            case ".txt":
                yield from _txt(path, separator)
            case ".jsonl":
                yield from _json_lines(path, text_field)
            case ".json":
                yield from _json(path, text_field)
            case ".csv":
                yield from _csv(path, text_field)
            case ".parquet":
                yield from _parquet(path, text_field)
            case suffix:
                kinds = ", ".join(SUFFIXES)
                raise UserError(
                    f"{path} is of a kind ({suffix or 'no suffix'}) that is not read: use {kinds}"
                )
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(
            f"{path} is not UTF-8 text (it holds the byte 0x{byte:02x}); convert it first"
        ) from error


def divide(chunks: Iterable[str], separator: str) -> Iterator[str]:
    """Divide a stream of text at `separator` (with none, it is one document) and strip the parts.

    The blanks around a document are stripped: a .txt cannot say whether they belong to it.
    """
    before: list[str] = []  # the stretches of this document that cannot hold a separator any more
    rest = ""
    overlap = len(separator) - 1
    for chunk in chunks:
        if not separator:
            before.append(chunk)
            continue
        *ended, rest = (rest + chunk).split(separator)
        for text in ended:
            yield "".join([*before, text]).strip()
            before.clear()
        # A separator may straddle two chunks, so as much as could begin one waits for the next.
        keep = max(0, len(rest) - overlap)
        before.append(rest[:keep])
        rest = rest[keep:]
    yield "".join([*before, rest]).strip()


def _txt(path: Path, separator: str) -> Iterator[str]:
    # Reading as text turns CRLF into LF; utf-8-sig drops a byte order mark.
    separator = separator.replace("\r\n", "\n").replace("\r", "\n")
    with path.open(encoding="utf-8-sig") as file:
        yield from divide(iter(lambda: file.read(_CHUNK), ""), separator)


def _json_lines(path: Path, text_field: str) -> Iterator[str]:
    # In bytes, for a line ends at LF alone: JSON may hold other line separators bare in a string.
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not row.strip():
                continue
            try:
                value = json.loads(row)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path} line {number} is not JSON: {error.msg} (column {error.colno})"
                ) from error
            except UnicodeDecodeError:
                raise
            except _BEYOND as error:
                raise UserError(f"{path} line {number} cannot be read: {error}") from error
            yield _text_of(value, text_field, f"{path} line {number}")


def _json(path: Path, text_field: str) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        while (first := file.read(1)).isspace():
            pass
        if not first:
            return
        file.seek(0)
        if first != "[" and _is_json(next(filter(str.strip, file), "")):
            yield from _json_lines(path, text_field)  # as many a .json really is
            return
        file.seek(0)
        try:
            rows = json.load(file)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path} line {error.lineno} is not JSON: {error.msg} (column {error.colno})"
            ) from error
        except UnicodeDecodeError:
            raise
        except _BEYOND as error:
            raise UserError(f"{path} cannot be read: {error}") from error
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
        yield _text_of(row, text_field, f"{path} item {number}")


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except _BEYOND:
        return False
    return True


def _text_of(row: Any, text_field: str, where: str) -> str:
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        raise UserError(f"{where} is {_kind(row)}, neither an object nor a text")
    if text_field not in row:
        raise UserError(f"{where} has no field '{text_field}', {_instead(row)}")
    text = row[text_field]
    if text is None:
        return ""
    if not isinstance(text, str):
        raise UserError(f"{where} holds {_kind(text)} in the field '{text_field}', not text")
    return text


def _kind(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        type(None): "null",
    }
    return names[type(value)]


def _instead(fields: Iterable[str]) -> str:
    names = ", ".join(f"'{name}'" for name in fields)
    return f"but {names or 'none at all'}; name the one to read with data.corpus.text_field"


def _csv(path: Path, text_field: str) -> Iterator[str]:
    csv.field_size_limit(_FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            if text_field not in header:
                raise UserError(f"{path} line 1 has no column '{text_field}', {_instead(header)}")
            column = header.index(text_field)
            for row in rows:
                if len(row) > len(header):  # a text without quotation marks, cut at its commas
                    raise UserError(
                        f"{path} line {rows.line_num} has {len(row)} fields, and line 1 has"
                        f" {len(header)}: quote the texts that hold commas"
                    )
                if 0 < len(row) < len(header):  # likewise, at its line breaks
                    raise UserError(
                        f"{path} line {rows.line_num} has {len(row)} fields, and line 1 has"
                        f" {len(header)}: quote the texts that hold line breaks"
                    )
                if row:
                    yield row[column]
        except csv.Error as error:
            raise UserError(f"{path} line {rows.line_num} is not CSV: {error}") from error


def _parquet(path: Path, text_field: str) -> Iterator[str]:
    import pyarrow as pa

    try:
        yield from _column(path, text_field)
    except (pa.ArrowException, OSError) as error:  # OSError: also a damaged page or footer
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _column(path: Path, text_field: str) -> Iterator[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error
    with file:
        schema = file.schema_arrow
        if text_field not in schema.names:
            raise UserError(f"{path} has no column '{text_field}', {_instead(schema.names)}")
        kind = schema.field(text_field).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{path} holds {kind} in the column '{text_field}', not text")
        for batch in file.iter_batches(batch_size=1024, columns=[text_field]):
            yield from (text or "" for text in batch.column(0).to_pylist())
