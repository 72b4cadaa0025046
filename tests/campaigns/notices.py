"""Mails that come back, as real servers write them; `message_id` is that of the original, with its brackets."""


def report(
    message_id: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown",
    to: str = "bounces@example.com",
    original: str = "message/rfc822",
) -> bytes:
    """A delivery report in the way of Postfix."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="9B095B5ADSN"
Message-Id: <20260301.9B0@mx.example.net>

This is a MIME-encapsulated message.

--9B095B5ADSN
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered. 5.7.1 is a number in a text.

--9B095B5ADSN
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Sun,  1 Mar 2026 14:30:00 +0000 (UTC)

Final-Recipient: rfc822; ann@example.net
Original-Recipient: rfc822;ann@example.net
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.net
Diagnostic-Code: {diagnostic}

--9B095B5ADSN
Content-Description: Undelivered Message
Content-Type: {original}

From: us@example.com
To: ann@example.net
Subject: Hello
Message-ID: {message_id}

Hello Ann

--9B095B5ADSN--
""".encode()


def complaint(message_id: str, *, kind: str = "abuse") -> bytes:
    """A feedback report in the way of the big mailbox providers."""
    return f"""From: <feedback@isp.example.net>
To: <fbl@example.com>
Subject: FW: Hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <ann@example.net>

--part1
Content-Type: message/rfc822
Content-Disposition: inline

From: us@example.com
To: ann@example.net
Message-ID: {message_id}
Subject: Hello

Hello
--part1--
""".encode()


def holiday(message_id: str) -> bytes:
    return f"""From: ann@example.net
To: us@example.com
Subject: Out of office
Auto-Submitted: auto-replied
In-Reply-To: {message_id}
Content-Type: text/plain

I am away. Your mail was not read: 550 5.1.1 user unknown, as a joke.
""".encode()


def qmail(message_id: str, said: str = "192.0.2.7 failed after I sent the message.\n550 5.1.1 no such user") -> bytes:
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.net
To: bounces@example.com
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.net>:
{said}

--- Below this line is a copy of the message.

Return-Path: <us@example.com>
Received: (qmail 4711 invoked by uid 0); 1 Mar 2026 14:30:00 -0000
From: us@example.com
Message-ID: {message_id}

Hello Ann
""".encode()


def exim(message_id: str) -> bytes:
    return f"""Return-path: <>
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: bounces@example.com
X-Failed-Recipients: ann@example.net
Auto-Submitted: auto-replied
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.net
    SMTP error from remote mail server after RCPT TO:<ann@example.net>:
    host mail.example.net [192.0.2.7]: 550 5.1.1 No such user here

------ This is a copy of the message, including all the headers. ------

Return-path: <us@example.com>
From: us@example.com
Message-ID: {message_id}

Hello Ann
""".encode()
