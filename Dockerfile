# One image for every role: web (the default command), worker, scheduler, mail catcher, migrations.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=config.settings.production \
    VAR_DIR=/app/var \
    WEB_CONCURRENCY=2

WORKDIR /app

# Apart from the code, so that a change of code does not install everything again.
COPY requirements/base.txt requirements/constraints.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements/base.txt

COPY . .

# The values only let the settings load: nothing is contacted, nothing of them stays in the image.
# Bytecode is made here because the user below may not write to the code, and each start would compile it again.
RUN SECRET_KEY=unused ALLOWED_HOSTS=localhost PUBLIC_URL=http://localhost \
    DATABASE_URL=postgres://unused@localhost/unused REDIS_URL=redis://localhost SMTP_URL=smtp://localhost \
    python manage.py collectstatic --noinput \
    && python -m compileall -q config queue_core campaigns templates_app monitoring \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /app posthaste \
    && chown posthaste:posthaste var

USER posthaste
EXPOSE 8000

# The number of web processes is WEB_CONCURRENCY; each serves four requests at a time.
CMD ["gunicorn", "config.wsgi", "--no-control-socket", "--bind", "0.0.0.0:8000", \
     "--worker-class", "gthread", "--threads", "4", "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "20"]
