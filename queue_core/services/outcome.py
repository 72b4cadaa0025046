from dataclasses import dataclass

from queue_core.texts import grouped


def plural(n: int, noun: str, nouns: str = "") -> str:
    """`1 task`, `2 000 tasks`; `nouns` where an s does not make it."""
    return f"{grouped(n)} {noun if n == 1 else nouns or noun + 's'}"


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a verb did: how many rows moved, how many were left alone and why; `asked`: running tasks asked to end."""

    changed: int
    skipped: int
    reason: str
    asked: int = 0

    def sentence(self, verb: str, noun: str = "task") -> str:
        """For a person: "Retried 41 tasks; 3 were not failed or cancelled."."""
        parts = [f"{verb} {plural(self.changed, noun)}"]
        if self.asked:
            parts.append(f"asked {plural(self.asked, 'running ' + noun)} to end")
        if self.skipped:
            parts.append(f"{grouped(self.skipped)} {'was' if self.skipped == 1 else 'were'} {self.reason}")
        return "; ".join(parts) + "."
