from queue_core.models import Execution


def last_error(task_id: int) -> tuple[str, str] | None:
    """(error, its class) of the latest attempt that is over; None when there was none."""
    over = Execution.objects.filter(task_id=task_id).order_by("-attempt")
    return over.values_list("error", "error_class").first()
