from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a verb did: how many rows moved, how many were left alone, and why those were."""

    changed: int
    skipped: int
    reason: str

    def sentence(self, verb: str, noun: str = "task") -> str:
        """For a person: "Retried 41 tasks; 3 were not failed or cancelled."."""
        text = f"{verb} {self.changed} {noun}{'' if self.changed == 1 else 's'}"
        if self.skipped:
            text += f"; {self.skipped} {'was' if self.skipped == 1 else 'were'} {self.reason}"
        return text + "."
