from rest_framework.permissions import DjangoModelPermissions

_VIEW = ["%(app_label)s.view_%(model_name)s"]


class TemplatePermissions(DjangoModelPermissions):
    """Looking needs “view”, which Django REST framework leaves open."""

    perms_map = {
        **DjangoModelPermissions.perms_map,
        "GET": _VIEW,
        "HEAD": _VIEW,
        "OPTIONS": _VIEW,
    }


class LookPermissions(TemplatePermissions):
    """For a POST that changes nothing: a preview, a check."""

    perms_map = {**TemplatePermissions.perms_map, "POST": _VIEW}


class ChangePermissions(TemplatePermissions):
    """For a POST that changes a template there is already."""

    perms_map = {
        **TemplatePermissions.perms_map,
        "POST": ["%(app_label)s.change_%(model_name)s"],
    }
