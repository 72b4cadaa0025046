from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q

from campaigns.states import DkimAlgorithm, Security, TransportKind


class MailTransport(models.Model):
    """A way out for mail: an SMTP server, or a Django e-mail backend such as an ESP through django-anymail."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=6, choices=TransportKind, default=TransportKind.SMTP)
    priority = models.SmallIntegerField(default=100, help_text="the lowest is used first, the next when it fails")
    enabled = models.BooleanField(default=True)
    host = models.CharField(max_length=255, blank=True, default="")
    port = models.IntegerField(default=25)
    security = models.CharField(max_length=8, choices=Security, default=Security.NONE)
    verify = models.BooleanField(default=True, help_text="check the certificate of the server")
    username = models.CharField(max_length=255, blank=True, default="")
    secret = models.TextField(blank=True, default="", editable=False, help_text="encrypted, see campaigns/vault.py")
    secret_env = models.CharField(
        max_length=100, blank=True, default="", help_text="name of the environment variable that holds the secret"
    )
    backend = models.CharField(max_length=200, blank=True, default="", help_text="dotted path of an e-mail backend")
    options = models.JSONField(default=dict, blank=True, help_text="arguments of the backend; “$secret” is replaced")
    connections = models.SmallIntegerField(default=4, help_text="at once, for each chunk under way")
    pipelining = models.BooleanField(default=True, help_text="use it where the server offers it")
    max_messages = models.IntegerField(default=100, help_text="per connection; 0 for no limit")
    timeout = models.FloatField(default=30.0, help_text="seconds")
    rate_count = models.IntegerField(null=True, blank=True, help_text="mails at most …; blank for no limit")
    rate_seconds = models.IntegerField(null=True, blank=True, help_text="… in so many seconds, over all workers")
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "mail_transports"
        constraints = [
            models.CheckConstraint(condition=Q(connections__range=(1, 50)), name="mail_transports_connections"),
            models.CheckConstraint(
                condition=Q(rate_count__isnull=True, rate_seconds__isnull=True)
                | Q(rate_count__gte=1, rate_seconds__gte=1),
                name="mail_transports_rate_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def breaker_key(self) -> str:
        return f"transport-{self.pk}"


class DomainLimit(models.Model):
    """How many mails may leave for the addresses of a domain, over all campaigns, transports and workers."""

    domain = models.CharField(max_length=253, unique=True, help_text="of recipients, such as example.com")
    rate_count = models.IntegerField(help_text="mails at most …")
    rate_seconds = models.IntegerField(default=60, help_text="… in so many seconds")
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "domain_limits"
        constraints = [
            models.CheckConstraint(
                condition=Q(rate_count__gte=1, rate_seconds__gte=1), name="domain_limits_rate_is_positive"
            )
        ]

    def __str__(self) -> str:
        return self.domain


class DkimKey(models.Model):
    """A private key that signs what is mailed from addresses of a domain, and of those below it."""

    domain = models.CharField(max_length=253, help_text="of the From address, such as example.com")
    selector = models.CharField(max_length=63, help_text="any word; tells this key from others of the domain")
    algorithm = models.CharField(max_length=7, choices=DkimAlgorithm, default=DkimAlgorithm.RSA)
    enabled = models.BooleanField(default=True)
    secret = models.TextField(blank=True, default="", editable=False, help_text="encrypted, see campaigns/vault.py")
    secret_env = models.CharField(
        max_length=100, blank=True, default="", help_text="name of the environment variable that holds the key"
    )
    public = models.TextField(editable=False, help_text="public key, base64")
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)

    class Meta:
        db_table = "dkim_keys"
        verbose_name = "DKIM key"
        constraints = [models.UniqueConstraint(fields=["domain", "selector"], name="dkim_keys_selector")]

    def __str__(self) -> str:
        return self.record_name

    @property
    def record_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The TXT record to publish."""
        return f"v=DKIM1; k={self.algorithm}; p={self.public}"


class MailBreaker(models.Model):
    """Whether a transport takes our mail now: shared by all workers. `open_until` null: it may be used."""

    key = models.CharField(max_length=40, primary_key=True)
    failures = models.IntegerField(default=0, help_text="refusals of us in a row")
    reason = models.TextField(default="")
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True, help_text="while one chunk tries whether it works again")
    changed_at = models.DateTimeField(db_default=TransactionNow())
    taken_at = models.DateTimeField(null=True, help_text="when it took a mail, to some seconds")
    taken_domain = models.CharField(max_length=253, db_default="", help_text="whom that mail was for")
    others_taken_at = models.DateTimeField(null=True, help_text="when it took one for another domain than that")

    class Meta:
        db_table = "mail_breakers"

    def __str__(self) -> str:
        return self.key


class MailBucket(models.Model):
    """How many mails may leave now under a limit of a campaign or a transport: shared by all workers."""

    key = models.CharField(max_length=40, primary_key=True)
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()

    class Meta:
        db_table = "mail_buckets"

    def __str__(self) -> str:
        return self.key
