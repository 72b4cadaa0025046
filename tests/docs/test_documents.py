"""What the documents say is true of the code: blocks, commands, addresses, settings, links."""

import ast
import importlib
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

from queue_core import conf

ROOT = Path(settings.BASE_DIR)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"manage\.py ([a-z_]+)((?:[^`\n|]|\\\n)*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
ROUTE = re.compile(r"`(?:GET|POST|PATCH|DELETE|PUT) (?:/api/v1/)?([a-z-]+/[a-z0-9{}/_.-]*)")
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
QUEUE_KNOB = re.compile(r"\bQUEUE_([A-Z_]+[A-Z])\b")
# Of this page's own examples: what a reader's project would hold.
THEIRS = {"photos", "myapp", "shop", "yourapp"}


def texts(documents: list[Path] = DOCUMENTS) -> list[Any]:
    return [pytest.param(path.read_text("utf-8"), id=path.name) for path in documents]


def blocks(language: str) -> list[Any]:
    return [
        pytest.param(block[2], id=f"{path.name}-{path.read_text('utf-8')[: block.start()].count(chr(10)) + 2}")
        for path in DOCUMENTS
        for block in BLOCK.finditer(path.read_text("utf-8"))
        if block[1] == language
    ]


def imported(source: str) -> list[tuple[str, str | None]]:
    """(module, name) of each import; None for a whole module."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
    return [(module, name) for module, name in found if module.partition(".")[0] not in THEIRS]


@pytest.mark.parametrize("source", blocks("python"))
def test_a_block_of_python_compiles_and_imports_what_there_is(source: str) -> None:
    compile(source, "block", "exec")
    for module, name in imported(source):
        found = importlib.import_module(module)
        assert name is None or hasattr(found, name), f"{module} has no {name}"


@pytest.mark.parametrize("text", texts())
def test_every_command_and_option_exists(text: str) -> None:
    commands = get_commands()
    for name, rest in COMMAND.findall(text):
        assert name in commands, f"manage.py {name}"
        app = commands[name]
        command = load_command_class(app, name) if isinstance(app, str) else app
        parser: ArgumentParser = command.create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        for option in OPTION.findall(rest.split("#")[0]):
            assert option in known, f"manage.py {name} {option}"


@pytest.mark.parametrize("text", texts())
def test_every_address_of_the_api_leads_somewhere(text: str) -> None:
    for route in ROUTE.findall(text):
        path = re.sub(r"\{[a-z_]+\}", "1", route)
        try:
            resolve(f"/api/v1/{path}")
        except Resolver404:
            pytest.fail(f"{route} is no route")


@pytest.mark.parametrize("text", texts())
def test_every_setting_of_the_queue_exists(text: str) -> None:
    assert {name for name in QUEUE_KNOB.findall(text) if name not in conf.DEFAULTS} == set()


def test_every_setting_of_the_queue_is_told() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [name for name in conf.DEFAULTS if f"QUEUE_{name}" not in text] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text("utf-8")):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}#{anchor}"
