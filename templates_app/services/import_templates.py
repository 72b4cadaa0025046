"""import_templates: a folder of files, each a template; all of them or none."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction

from templates_app.errors import FolderRefused, InvalidTemplate
from templates_app.lines import legible, one_line
from templates_app.models import EmailTemplate, TemplateFormat
from templates_app.rendering import Content, compile_content
from templates_app.services.audit import Actor
from templates_app.services.create_template import create_template
from templates_app.services.edit_template import edit_template

_FORMATS = {".html": TemplateFormat.HTML.value, ".mjml": TemplateFormat.MJML.value}
_BYTES_MAX = 1_048_576
_NAME_MAX = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file: created, changed (a new version) or unchanged."""

    name: str
    outcome: str
    version: int


def read_templates(folder: Path) -> dict[str, Content]:
    """The templates of a folder and those below it, by name.

    `news/autumn.html` (or `.mjml`) is the template “news/autumn”; its subject is in `news/autumn.subject.txt`, its
    text, where it has one of its own, in `news/autumn.txt`. Raises FolderRefused with every fault.
    """
    found: dict[str, Content] = {}
    faults: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _FORMATS and path.is_file()):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            if name in found:
                raise FolderRefused([f"{path}: there are two files for the template “{name}”; remove one."])
            if len(name) > _NAME_MAX:
                raise FolderRefused([f"{path}: a name is at most {_NAME_MAX} characters long."])
            _check_line(path, name)
            found[name] = _content(path)
        except FolderRefused as exc:
            faults += exc.faults
    if not found and not faults:
        faults = [f"{folder}: there is no .html and no .mjml file in it."]
    if faults:
        raise FolderRefused(faults)
    return found


def _content(path: Path) -> Content:
    subject, text = path.with_suffix(".subject.txt"), path.with_suffix(".txt")
    if not subject.is_file():
        raise FolderRefused([f"{path}: write its subject into {subject.name} beside it."])
    line = _read(subject).strip()
    _check_line(subject, line)
    content = Content(line, _read(path), _read(text) if text.is_file() else "", _FORMATS[path.suffix], True)
    try:
        compile_content(content)
    except InvalidTemplate as exc:
        raise FolderRefused([f"{path}: {problem}." for problem in exc.problems]) from None
    return content


def _check_line(path: Path, text: str) -> None:
    try:
        one_line(text)
    except ValidationError as exc:
        raise FolderRefused([f"{legible(str(path))}: {exc.message}"]) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except OSError as exc:
        raise FolderRefused([f"{path}: cannot be read ({exc.strerror})."]) from None
    except UnicodeDecodeError:
        raise FolderRefused([f"{path}: is not in UTF-8."]) from None
    if len(data) > _BYTES_MAX or "\x00" in text:
        raise FolderRefused([f"{path}: is larger than 1 MiB, or holds a NUL character."])
    return text.replace("\r\n", "\n")


def import_templates(
    templates: dict[str, Content], *, note: str = "", dry_run: bool = False, by: Actor | None = None
) -> list[Imported]:
    """Make the templates that are not there yet, and a new version of those that say something else.

    With `dry_run` the same answer and nothing is written.
    """
    with transaction.atomic():
        done = list(_imported(templates.items(), note, by))
        if dry_run:
            transaction.set_rollback(True)
    return done


def _imported(templates: Iterable[tuple[str, Content]], note: str, by: Actor | None) -> Iterable[Imported]:
    for name, content in templates:
        template = EmailTemplate.objects.filter(name=name).select_related("current_version").first()
        if template is None:
            yield Imported(
                name, "created", create_template(name=name, content=content, note=note, by=by).version.number
            )
            continue
        # Whether styles are moved is no matter of the files: it stays as it was chosen.
        parts = {part: value for part, value in content._asdict().items() if part != "inline_css"}
        before = template.version.number
        version = edit_template(template=template, parts=parts, note=note, by=by)
        yield Imported(name, "unchanged" if version.number == before else "changed", version.number)
