"""Chaos: the queue under faults, and a checker that reads what happened. See docs/reliability.md."""
