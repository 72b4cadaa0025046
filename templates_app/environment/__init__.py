"""Where mail templates run: Jinja2, sandboxed twice over.

What a template may say is an allow-list of syntax (`grammar`), what it may touch is plain data (`data`), what it may
call is an allow-list of filters and tests (`filters`), and what it may use up is metered (`meter`).
"""

from templates_app.environment.data import plain
from templates_app.environment.meter import Meter, metering
from templates_app.environment.sandbox import HTML, MAX_SOURCE, TEXT, MailEnvironment

__all__ = ["HTML", "MAX_SOURCE", "TEXT", "MailEnvironment", "Meter", "metering", "plain"]
