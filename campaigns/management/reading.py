"""What the commands that read a list share: how it is read, and where its rejected rows go."""

import csv
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, BinaryIO

from campaigns.errors import ImportRefused
from campaigns.intake import Options, error_rows, read_options
from campaigns.services import Report


def add_reading(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        action="append",
        default=[],
        metavar="COLUMN=TARGET",
        help="what a column becomes: email, name, an attribute, or nothing (COLUMN=); repeatable",
    )
    parser.add_argument("--delimiter", default="", help="comma, semicolon, tab or pipe (default: found)")
    parser.add_argument("--encoding", default="", help="such as utf-8 or windows-1252 (default: found)")
    parser.add_argument("--no-header", action="store_true", help="the first line is a recipient; columns are 1, 2, …")
    parser.add_argument("--sheet", default="", help="of a workbook (default: the first one that is shown)")


def opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImportRefused("This is a device or a pipe. Save what it gives to a file first.")
    return path.open("rb")


def how_to_read(options: dict[str, Any]) -> Options:
    pairs = [pair.rpartition("=") for pair in options["mapping"]]
    for column, sign, _ in pairs:
        if not sign or not column:
            raise ImportRefused("A mapping is written COLUMN=TARGET, such as --mapping Mail=email.")
    return read_options(
        delimiter=options["delimiter"],
        encoding=options["encoding"],
        header=False if options["no_header"] else None,
        sheet=options["sheet"],
        mapping={column: target for column, _, target in pairs},
    )


def write_errors(report: Report, path: Path) -> str:
    """The rows that were rejected, as a file; the sentence that says where it is, or why it is not."""
    rows = error_rows(report.found["columns"], report.rejected, has_header=report.found["header"])
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(rows)
    except OSError as exc:
        return f"The rejected rows could not be written to {path}: {os.strerror(exc.errno or 0)}."
    return f"Rejected rows, with the reason for each: {path}"
