import smtplib
import time

from tests.benchmarks import letter
from tests.benchmarks.mail_bench import OURS, OURS_25, open_sinks, rows


def test_both_sinks_take_mail_and_the_slow_one_takes_its_time() -> None:
    with open_sinks() as sinks:
        for port, least in ((sinks.fast, 0.0), (sinks.slow, 0.06)):
            with smtplib.SMTP("127.0.0.1", port) as server:
                began = time.monotonic()
                for _ in range(3):
                    assert server.sendmail("a@example.com", ["b@example.com"], letter.TEXT.encode()) == {}
                assert time.monotonic() - began >= least
        assert sinks.address(OURS).env["SMTP_URL"] == f"smtp://127.0.0.1:{sinks.fast}"
        assert sinks.address(OURS_25).env["SMTP_URL"] == f"smtp://127.0.0.1:{sinks.slow}?connections=25"


def test_rows_compare_medians_and_leave_out_who_did_not_take_part() -> None:
    found = rows({OURS.label: [100.0, 300.0, 200.0], "django-mailer": [4.0]})
    assert [(row.peer, row.ratio, row.ok) for row in found] == [("django-mailer", 50.0, True)]
