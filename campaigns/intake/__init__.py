"""Reading lists of people: what a file holds, row by row, whatever wrote it. Touches no database."""

from campaigns.intake.columns import EXPORTED, Columns, find_columns
from campaigns.intake.error_file import error_rows
from campaigns.intake.options import Options, read_options
from campaigns.intake.people import Accepted, Refused, Rows, listed_rows, read_rows
from campaigns.intake.sample import Sample, column_key, read_sample
from campaigns.intake.source import open_source
from campaigns.intake.table import Source

__all__ = [
    "EXPORTED",
    "Accepted",
    "Columns",
    "Options",
    "Refused",
    "Rows",
    "Sample",
    "Source",
    "column_key",
    "error_rows",
    "find_columns",
    "listed_rows",
    "open_source",
    "read_options",
    "read_rows",
    "read_sample",
]
