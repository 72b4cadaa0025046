"""What the campaign verbs refuse; the text is fit for a person to read."""


class CampaignError(Exception):
    """Base of everything this app refuses."""


class WrongState(CampaignError):
    """A verb that this state does not allow; `state` is the one the campaign is in."""

    def __init__(self, campaign: str, state: str, verb: str) -> None:
        self.state = state
        super().__init__(f"Campaign “{campaign}” is {state}; it cannot be {verb}.")


class EditedMeanwhile(CampaignError):
    """An edit of a draft that was changed since it was read."""

    def __init__(self, campaign: str) -> None:
        super().__init__(
            f"Campaign “{campaign}” was changed since this form was opened: your change was not saved. Open the page "
            "again, and make it there."
        )


class ScheduleRefused(CampaignError):
    """A time at which nothing can be launched; `field` is what has to be changed: at, timezone, late_minutes."""

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


class TestRefused(CampaignError):
    """A test mail that nobody was sent; `field` is what has to be changed: to, recipient, from_email, transport."""

    __test__ = False  # no test of pytest's

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


class NotReady(CampaignError):
    """A launch that would fail; `problems` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


class NotUnconfirmed(CampaignError):
    """A decision about a mail of which it is known what became of it; `state` is the recipient's."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"This recipient is {state}; only an unconfirmed one can be marked or sent again.")


class ImportRefused(CampaignError):
    """A file that cannot be imported; nothing of it was."""


class TransportRefused(CampaignError):
    """A transport that could not work, or cannot be deleted; `errors` are sentences by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__(" ".join(text for texts in errors.values() for text in texts))


class ImportOver(CampaignError):
    """A verb that an import does not allow any more; `state` is the one it is in."""

    def __init__(self, filename: str, state: str, left: str = "there is nothing left to cancel") -> None:
        self.state = state
        super().__init__(f"The import of “{filename}” is {state}; {left}.")


class DkimKeyRefused(TransportRefused):
    """A DKIM key that could not sign; `errors` likewise."""


class DomainLimitRefused(TransportRefused):
    """A limit of a domain that cannot be; `errors` likewise."""


class NoAttribute(CampaignError):
    """A variable that recipients cannot lack; `field` says so to the API."""

    field = "variable"

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The template does not ask recipients for “{variable[:100]}”; name a value that it does, such as "
            "recipient.first_name."
        )


class RecipientRefused(CampaignError):
    """What a recipient cannot be; `field` is what has to be changed: email, name, attributes."""

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


class UnknownLink(CampaignError):
    """A link of a mail that was never made here, or that has been cut off."""

    def __init__(self) -> None:
        super().__init__("This link is not known; it may have been cut off.")
