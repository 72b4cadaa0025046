import datetime
from itertools import islice

from queue_core.cron import zone_of
from queue_core.models import Schedule
from queue_core.services.clock import database_time


def upcoming(schedule: Schedule, count: int) -> list[datetime.datetime]:
    """The next fire times, on the clock of its zone and without jitter; of a paused one, as if it were resumed now.

    Empty when the rhythm cannot be read any more; then the schedule's description says why.
    """
    try:
        zone = zone_of(schedule.timezone)
        return [time.astimezone(zone) for time in islice(schedule.times_after(database_time()), count)]
    except ValueError:
        return []
