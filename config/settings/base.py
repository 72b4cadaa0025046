"""What holds everywhere. Values that differ by host come from the environment (`config/env.py`)."""

from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static

from config import embedded, env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))

INSTALLED_APPS = [
    "config",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "anymail",
    "axes",
    "django_tasks",
    "django_rq",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "queue_core",
    "templates_app",
    "campaigns",
    "monitoring",
    *env.apps("EXTRA_APPS"),
]

MIDDLEWARE = [
    "config.api.request_id.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.gone.GoneMeanwhile",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "config.api.idempotency.Idempotency",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# With no URL given, the address of the embedded server is used; manage.py has started it by then.
_DATABASE = env.database(env.text("DATABASE_URL", "") or embedded.database_url(VAR_DIR))
DATABASES = {
    "default": {
        **_DATABASE,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        # A network that swallows packets must not hold a worker, or its heartbeat, for many minutes.
        "OPTIONS": {
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
            **_DATABASE.get("OPTIONS", {}),
        },
    }
}
REDIS_URL = env.redis_url("REDIS_URL") or embedded.redis_url(VAR_DIR)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The queues a task may go to; a worker without --queues serves them in this order.
QUEUES = env.queues("QUEUES", ["high", "default", "mail", "low"], needed=["default", "mail", "low"])
TASKS = {"default": {"BACKEND": "queue_core.backend.PosthasteBackend", "QUEUES": QUEUES}}
RQ_QUEUES = {name: {"URL": REDIS_URL, "SERIALIZER": "rq.serializers.JSONSerializer"} for name in QUEUES}
# Ringing is deferred to the commit where it is written down (services), not a second time inside django-rq.
RQ = {"COMMIT_MODE": "auto"}
# Its dashboard lets any member of staff empty the queues, whatever their permissions.
RQ_SHOW_ADMIN_LINK = False

# smtp://user:password@host:587?starttls=1 · smtps://… ; empty: the mail catcher of `manage.py up`.
SMTP_URL = env.text("SMTP_URL", "") or embedded.smtp_url(VAR_DIR)
# How we call ourselves to mail servers; some relays take nobody without a name of his own.
SMTP_EHLO = env.text("SMTP_EHLO", "")
SMTP_IS_CATCHER = not env.text("SMTP_URL", "")
# Mail that is only caught may have any sender; of a real one, only who runs this knows a good one.
DEFAULT_FROM_EMAIL = env.text(
    "DEFAULT_FROM_EMAIL", "Posthaste <posthaste@example.com>" if SMTP_IS_CATCHER else "webmaster@localhost"
)
# Where a transport with Django's file backend writes mails; None: there can be no such transport.
EMAIL_FILE_PATH = env.text("EMAIL_FILE_PATH", "") or None
# Encrypt the secrets of transports in the database: the first for new ones, all for reading. Empty: SECRET_KEY.
VAULT_KEYS = env.words("VAULT_KEYS", [])
# Where recipients reach this installation: unsubscribe links are built on it.
PUBLIC_URL = env.text("PUBLIC_URL", "http://127.0.0.1:8000")
# bounces@example.com: mails are sent from bounces+<reference>@example.com, so that a bounce says whose it is.
BOUNCE_ADDRESS = env.text("BOUNCE_ADDRESS", "")
# imaps://user:password@host/folder or pop3s://…: the mailbox where bounces arrive.
BOUNCE_MAILBOX_URL = env.text("BOUNCE_MAILBOX_URL", "")

# ANYMAIL_WEBHOOK_SECRET (user:password) opens /anymail/<service>/tracking/; the keys of services, such as
# ANYMAIL_MAILGUN_WEBHOOK_SIGNING_KEY, are called as django-anymail calls them.
ANYMAIL = env.prefixed("ANYMAIL_")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# So many wrong passwords for an account from an address, and it must wait there. Counted in PostgreSQL, for all
# processes; by both, so that nobody can lock out somebody else from elsewhere.
AXES_FAILURE_LIMIT = env.integer("SIGN_IN_FAILURES", 10, least=1, most=1_000_000)
AXES_COOLOFF_TIME = timedelta(minutes=env.integer("SIGN_IN_LOCK_MINUTES", 15, least=1, most=5_000_000))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "config.sign_in.account"
AXES_LOCKOUT_CALLABLE = "config.sign_in.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
LOGIN_REDIRECT_URL = "/admin/"
LOGIN_URL = "/admin/login/"

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
FILE_UPLOAD_TEMP_DIR = None
# Files that wait to be imported. Never served; on several hosts one folder for all, or another storage.
MEDIA_ROOT = Path(env.text("MEDIA_ROOT", str(VAR_DIR / "media")))
FILE_UPLOAD_PERMISSIONS = 0o600
DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024

REST_FRAMEWORK = {
    # The first one makes the challenge: anonymous requests get 401, not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "config.api.authentication.Basic",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["config.api.permissions.ModelPermissions"],
    "DEFAULT_PARSER_CLASSES": [
        "config.api.parsers.StrictJson",
        "config.api.parsers.Form",
        "config.api.parsers.MultiPart",
    ],
    "DEFAULT_RENDERER_CLASSES": ["config.api.renderers.Json", "rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_FILTER_BACKENDS": [
        "config.api.filters.Known",
        "config.api.filters.Filters",
        "config.api.filters.Search",
        "config.api.filters.Ordering",
    ],
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.Keyset",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Posthaste",
    "DESCRIPTION": "Durable background tasks and e-mail campaigns.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "ENUM_NAME_OVERRIDES": {
        "TaskState": "queue_core.states.TaskState",
        "WorkflowState": "queue_core.states.WorkflowState",
        "OnFailure": "queue_core.states.OnFailure",
        "WorkerState": "queue_core.states.WorkerState",
        "WorkerKind": "queue_core.states.WorkerKind",
        "Desire": "queue_core.states.Desire",
        "Rhythm": "queue_core.states.Rhythm",
        "BulkState": "queue_core.states.BulkState",
        "DeathReason": "queue_core.states.DeathReason",
        "CampaignState": "campaigns.states.CampaignState",
        "RecipientState": "campaigns.states.RecipientState",
        "ImportState": "campaigns.states.ImportState",
        "PreflightLevel": "campaigns.states.PreflightLevel",
        "UnconfirmedPolicy": "campaigns.states.UnconfirmedPolicy",
        "EventKind": "campaigns.states.EventKind",
        "TransportKind": "campaigns.states.TransportKind",
        "DkimAlgorithm": "campaigns.states.DkimAlgorithm",
        "TemplateFormat": "templates_app.models.TemplateFormat",
        "SuppressionReason": "campaigns.states.SuppressionReason",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.schema.add_problems",
    ],
    # The page's files come from this server.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

UNFOLD = {
    "SITE_TITLE": "Posthaste",
    "SITE_HEADER": "Posthaste",
    "SITE_SUBHEADER": "tasks and campaigns",
    "SITE_SYMBOL": "mark_email_read",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("config/favicon.svg")}],
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [
        lambda request: static("queue_core/admin.css"),
        lambda request: static("campaigns/admin.css"),
    ],
    "DASHBOARD_CALLBACK": "monitoring.dashboard.dashboard",
    "SIDEBAR": {"navigation": "config.navigation.sidebar"},
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.3)",
            "100": "oklch(93% .034 272.8)",
            "200": "oklch(87% .065 274)",
            "300": "oklch(78.5% .115 274.7)",
            "400": "oklch(67.3% .182 276.9)",
            "500": "oklch(58.5% .233 277.1)",
            "600": "oklch(51.1% .262 277)",
            "700": "oklch(45.7% .24 277)",
            "800": "oklch(39.8% .195 277.4)",
            "900": "oklch(35.9% .144 278.7)",
            "950": "oklch(25.7% .09 281.3)",
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # `about` is the task and the request in which something was logged.
    "filters": {"origin": {"()": "queue_core.origin.LogFields"}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s%(about)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["origin"]}},
    "root": {"handlers": ["console"], "level": env.log_level("LOG_LEVEL", "INFO")},
}
