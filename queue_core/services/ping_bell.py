from queue_core import broker

BellDown = broker.BrokerDown


def ping_bell() -> None:
    """Raise BellDown unless Valkey answers."""
    broker.ping()
