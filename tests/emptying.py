"""Empty tables between tests, quickly."""

from django.db import connection

# What migrating fills by itself, and no test changes.
_KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables() -> None:
    """Truncate the tables that hold rows; most tests touch only a few of them.

    Django's own flush truncates all tables and then makes every content type and permission anew.
    """
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - _KEPT)
    quoted = [connection.ops.quote_name(table) for table in tables]
    filled = " UNION ALL ".join(f"SELECT %s WHERE EXISTS (SELECT FROM {name})" for name in quoted)
    with connection.cursor() as cursor:
        cursor.execute(filled, tables)
        dirty = [connection.ops.quote_name(table) for (table,) in cursor.fetchall()]
        if dirty:
            cursor.execute(f"TRUNCATE {', '.join(dirty)} CASCADE")
