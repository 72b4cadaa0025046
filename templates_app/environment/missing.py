"""A value that was not given.

It behaves like NaN: it prints as ⟦name⟧, compares unequal, loops over nothing and survives filters, while its name goes
on the list of the rendering. So one rendering finds *all* missing names; the caller then refuses or shows the result.
Asking whether it is there (`{% if x %}`, `x or y`, `is defined`, `|default`) is not a fault.
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import Undefined

from templates_app.environment.meter import meter

MISSING_OPENS = "⟦"


class Missing(Undefined):
    __slots__ = ()

    def path(self) -> str:
        return str(self._undefined_name or self._undefined_hint or "value")

    def note(self) -> None:
        """Put the name on the list of the rendering under way."""
        meter().missing[self.path()] = None

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> Any:
        self.note()
        return super()._fail_with_undefined_error(*args, **kwargs)

    def __str__(self) -> str:
        self.note()
        return f"{MISSING_OPENS}{self.path()}⟧"

    def __iter__(self) -> Iterator[Any]:
        self.note()
        return iter(())

    def __len__(self) -> int:
        self.note()
        return 0

    def _unlike(self, other: object) -> bool:
        self.note()
        return False

    __eq__ = __contains__ = _unlike
    __lt__ = __le__ = __gt__ = __ge__ = _unlike  # type: ignore[assignment]  # Jinja's never return

    def __ne__(self, other: object) -> bool:
        return not self._unlike(other)

    def __hash__(self) -> int:
        return hash(self.path())
