class EmbeddedError(Exception):
    """A server of ours could not be found, started or stopped. The text says what to do."""
