"""What can be done with templates, one verb per module. Each verb is one transaction and leaves an audit entry."""

from templates_app.services.archive_template import archive_template
from templates_app.services.audit import Actor
from templates_app.services.create_template import create_template
from templates_app.services.diff import diff
from templates_app.services.edit_template import edit_template
from templates_app.services.import_templates import Imported, import_templates, read_templates
from templates_app.services.lint import Finding, lint
from templates_app.services.preview import Preview, preview
from templates_app.services.restore_version import restore_version
from templates_app.services.unarchive_template import unarchive_template

__all__ = [
    "Actor",
    "Finding",
    "Imported",
    "Preview",
    "archive_template",
    "create_template",
    "diff",
    "edit_template",
    "import_templates",
    "lint",
    "preview",
    "read_templates",
    "restore_version",
    "unarchive_template",
]
