"""What the services refuse, as HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework.exceptions import NotFound, ValidationError

from templates_app.errors import InvalidTemplate, NameTaken, RenderError, VersionNotFound


@contextmanager
def refusals() -> Iterator[None]:
    """400 with the messages under the part or field they are about; 404 for a version there is not."""
    try:
        yield
    except InvalidTemplate as error:
        raise ValidationError(error.by_part()) from None
    except RenderError as error:
        raise ValidationError({"context" if error.missing else error.part: [error.message]}) from None
    except NameTaken as error:
        raise ValidationError({"name": [str(error)]}) from None
    except VersionNotFound as error:
        raise NotFound(str(error)) from None
