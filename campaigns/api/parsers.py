import io
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.base import File
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from rest_framework.parsers import BaseParser, DataAndFiles


class _File(BaseParser):
    """A file as the body: the same as a form with that one `file`."""

    filename = ""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig(f"more than {limit} bytes")
        return DataAndFiles(QueryDict(), MultiValueDict({"file": [File(io.BytesIO(body), name=self.filename)]}))


class Csv(_File):
    media_type, filename = "text/csv", "upload.csv"


class Tsv(_File):
    media_type, filename = "text/tab-separated-values", "upload.tsv"


class Xlsx(_File):
    media_type, filename = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "upload.xlsx"
