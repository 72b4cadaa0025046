"""What its author should mend before a template is sent. Pure: no database, no network."""

from templates_app.lint.finding import Finding
from templates_app.lint.report import examine

__all__ = ["Finding", "examine"]
