"""Forms of the admin that save by a verb, and the admins that show them."""

from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.http import HttpRequest

from campaigns.errors import CampaignError, TransportRefused
from queue_core.admin.ledger import actor
from queue_core.services import Actor


class VerbForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is wrong with the whole is said by the verb; `saved` is what it answers."""

    by: Actor | None = None
    saved: Model
    # Values that the verb calls otherwise than the form: {its name: the field's}.
    shown_as: ClassVar[dict[str, str]] = {}

    def store(self) -> Model:
        """Call the verb with the cleaned data."""
        raise NotImplementedError

    def refusals(self) -> dict[str, list[str]]:
        """What the verb would refuse, by field, of the values that could be read: all mistakes are shown at once."""
        return {}

    def _post_clean(self) -> None:
        """In place of Django's, which would write the values into the instance: it stays as it is in the database."""
        if self.errors:
            known = set(self.errors)
            self._blame({name: texts for name, texts in self.refusals().items() if self._field(name) not in known})
            return
        try:
            self.saved = self.store()
        except TransportRefused as refused:
            self._blame(refused.errors)
        except CampaignError as refused:
            self.add_error(None, str(refused))

    def _blame(self, errors: dict[str, list[str]]) -> None:
        for name, texts in errors.items():
            self.add_error(self._field(name), texts)

    def _field(self, name: str) -> str:
        return self.shown_as.get(name, name)


class SavesByVerb:
    """For an admin whose form is a VerbForm: nothing is left to be saved."""

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change, **kwargs)  # type: ignore[misc]  # of the admin beside it
        return type(made.__name__, (made,), {"by": actor(request)})

    def save_form(self, request: HttpRequest, form: VerbForm, change: bool) -> Model:
        return form.saved

    def save_model(self, request: HttpRequest, obj: Model, form: VerbForm, change: bool) -> None:
        """The form has called the verb."""

    def save_related(self, request: HttpRequest, form: VerbForm, formsets: Any, change: bool) -> None:
        """There is nothing related."""
