"""Verbs that meet at one template: each has a connection of its own, and one waits for the other."""

import pytest
from django.db import transaction

from templates_app import services
from templates_app.models import EmailTemplate
from templates_app.rendering import Content, content_of
from tests.meeting import beside
from tests.templates_app.factories import HTML, make_template

pytestmark = pytest.mark.django_db(transaction=True)


def met(template, first, second):
    """What `second` answers or raises, begun before `first` was over."""
    found = []
    with transaction.atomic():
        first(template=EmailTemplate.objects.get(pk=template.pk))
        thread = beside(lambda: second(template=template), found)
    thread.join()
    return found[0]


def edit(**parts):
    return lambda template: services.edit_template(template=template, parts=parts)


def restore(template):
    return services.restore_version(template=template, number=1)


def test_two_edits_at_once_make_two_versions_and_lose_nothing():
    template = make_template()
    version = met(template, edit(subject="New"), edit(html="<p>new</p>"))
    assert (version.number, content_of(version)) == (3, Content("New", "<p>new</p>"))
    assert [version.number for version in template.versions.order_by("number")] == [1, 2, 3]


def test_an_edit_that_another_made_already_makes_no_version():
    assert met(make_template(), edit(subject="New"), edit(subject="New")).number == 2


def test_a_version_is_restored_over_the_edit_it_waited_for():
    version = met(make_template(), edit(subject="New"), restore)
    assert (version.number, content_of(version)) == (3, Content("Hi {{ recipient.name }}", HTML))


def test_an_edit_follows_the_restored_version_it_waited_for():
    template = make_template()
    edit(subject="New")(template=template)
    version = met(template, restore, edit(text="Text"))
    assert (version.number, content_of(version)) == (4, Content("Hi {{ recipient.name }}", HTML, "Text"))


def test_a_template_is_deleted_with_the_version_that_was_made_meanwhile():
    assert met(make_template(), edit(subject="New"), services.archive_template) == "deleted"


@pytest.mark.parametrize("verb", [edit(subject="New"), restore, services.archive_template])
def test_a_template_that_was_deleted_meanwhile_is_not_there(verb):
    assert isinstance(met(make_template(), services.archive_template, verb), EmailTemplate.DoesNotExist)
