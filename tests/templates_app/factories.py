from django.contrib.auth.models import Permission, User

from campaigns.models import Campaign
from templates_app.models import EmailTemplate
from templates_app.rendering import Content
from templates_app.services import create_template

HTML = '<p>Hello {{ recipient.name }}</p><a href="{{ unsubscribe_url }}">Unsubscribe</a>'
CONTEXT = {"recipient": {"name": "Ada"}, "unsubscribe_url": "https://example.com/u"}


def make_template(name="Welcome", subject="Hi {{ recipient.name }}", html=HTML, text="", **more) -> EmailTemplate:
    return create_template(name=name, content=Content(subject, html, text), **more)


def make_user(username: str, *actions: str) -> User:
    """A member of staff who may do `actions` (view, add, change, delete) to templates."""
    user = User.objects.create_user(username, password="secret", is_staff=True)
    codenames = [f"{action}_emailtemplate" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def make_used_template() -> EmailTemplate:
    """A template that a campaign refers to, so that it cannot be deleted."""
    template = make_template()
    Campaign.objects.create(name="Autumn", template=template, from_email="shop@example.com")
    return template
