from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from templates_app import services
from templates_app.api.filters import TemplateFilter
from templates_app.api.permissions import ChangePermissions, LookPermissions, TemplatePermissions
from templates_app.api.serializers import (
    ContentSerializer,
    CreateTemplateSerializer,
    EditTemplateSerializer,
    PreviewSerializer,
    RestoreSerializer,
    TemplateSerializer,
    TemplateSummarySerializer,
    VersionDetailSerializer,
    VersionSerializer,
    by_part,
    listed,
)
from templates_app.api.translation import refusals
from templates_app.models import EmailTemplate, TemplateVersion
from templates_app.rendering import Content, compile_content, content_of

_BODIES = ("current_version__html", "current_version__text", "current_version__compiled_html")


class TemplateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[EmailTemplate]):
    """Mail templates and their versions."""

    queryset = EmailTemplate.objects.select_related("current_version").order_by("-id")
    serializer_class = TemplateSerializer
    permission_classes = [TemplatePermissions]
    filterset_class = TemplateFilter
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "updated_at"]

    def get_queryset(self) -> QuerySet[EmailTemplate]:
        templates = super().get_queryset()
        return templates.defer(*_BODIES) if self.action == "list" else templates

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "list":
            return TemplateSummarySerializer
        forms: dict[str, type[BaseSerializer[Any]]] = {
            "create": CreateTemplateSerializer,
            "partial_update": EditTemplateSerializer,
            "preview": PreviewSerializer,
            "restore": RestoreSerializer,
            "validate": ContentSerializer,
        }
        return forms.get(self.action, TemplateSerializer)

    def create(self, request: Request) -> Response:
        given = self._given(request)
        with refusals():
            template = services.create_template(
                name=given["name"],
                content=Content(*(given[part] for part in Content._fields)),
                description=given["description"],
                note=given["note"],
                by=_actor(request),
            )
        return Response(self._shown(template), status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, pk: str) -> Response:
        template = self.get_object()
        given = self._given(request, template, partial=True)
        if given.get("archived"):
            raise ValidationError({"archived": ["DELETE the template to archive it."]})
        with refusals():
            services.edit_template(
                template=template,
                parts={part: given[part] for part in Content._fields if part in given},
                name=given.get("name"),
                description=given.get("description"),
                note=given.get("note", ""),
                by=_actor(request),
            )
        if given.get("archived") is False:
            services.unarchive_template(template=template, by=_actor(request))
        return Response(self._shown(template))

    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes a template nothing uses (204); a used one is archived and shown (200)."""
        template = self.get_object()
        if services.archive_template(template=template, by=_actor(request)) == "archived":
            return Response(self._shown(template))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"], permission_classes=[LookPermissions])
    def preview(self, request: Request, pk: str) -> Response:
        """The mail made with a context; writes nothing."""
        template = self.get_object()
        given = self._given(request)
        with refusals():
            mail = services.preview(
                content=content_of(template.version), context=given["context"], lenient=given["lenient"]
            )
        return Response(asdict(mail))

    @action(detail=True, methods=["post"], permission_classes=[LookPermissions])
    def validate(self, request: Request, pk: str) -> Response:
        """Checks the parts given, with the current ones for those left out; changes nothing.

        `errors` keep the template from being sent; `findings` holds them and the warnings, with code and line.
        """
        current = content_of(self.get_object().version)
        given = self._given(request, partial=True)
        content = current._replace(**given)
        findings = services.lint(content=content)
        errors = by_part(findings)
        readable = all(finding.code != "syntax" for finding in findings)
        variables = listed(compile_content(content).variables) if readable else []
        shown = [asdict(finding) for finding in findings]
        return Response({"valid": not errors, "errors": errors, "findings": shown, "variables": variables})

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, filter_backends=())
    def versions(self, request: Request, pk: str) -> Response:
        versions = (
            self.get_object().versions.select_related("author").defer("html", "text", "compiled_html").order_by("-id")
        )
        page = self.paginate_queryset(versions)  # type: ignore[arg-type]
        if page is None:
            return Response(VersionSerializer(versions, many=True).data)
        return self.get_paginated_response(VersionSerializer(page, many=True).data)  # type: ignore[arg-type]

    @action(detail=True, url_path=r"versions/(?P<number>\d{1,9})")
    def version(self, request: Request, pk: str, number: str) -> Response:
        return Response(VersionDetailSerializer(_version(self.get_object(), number)).data)

    @extend_schema(responses=TemplateSerializer)
    @action(
        detail=True,
        methods=["post"],
        url_path=r"versions/(?P<number>\d{1,9})/restore",
        permission_classes=[ChangePermissions],
    )
    def restore(self, request: Request, pk: str, number: str) -> Response:
        """Make what a version says current again, as the next version."""
        template = self.get_object()
        given = self._given(request)
        with refusals():
            services.restore_version(template=template, number=int(number), note=given["note"], by=_actor(request))
        return Response(self._shown(template))

    @action(detail=True)
    def diff(self, request: Request, pk: str) -> Response:
        """Unified diffs of the three parts, `?from=1&to=2`; `to` is the current version where left out."""
        template = self.get_object()
        old = _version(template, request.query_params.get("from", ""))
        new = _version(template, request.query_params.get("to", str(template.version.number)))
        return Response({"from": old.number, "to": new.number, **services.diff(old=old, new=new)})

    def _given(
        self, request: Request, instance: EmailTemplate | None = None, *, partial: bool = False
    ) -> dict[str, Any]:
        form = self.get_serializer(instance, data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given

    def _shown(self, template: EmailTemplate) -> dict[str, Any]:
        return dict(TemplateSerializer(template, context=self.get_serializer_context()).data)


def _actor(request: Request) -> services.Actor:
    return services.Actor(request.user, "api")  # type: ignore[arg-type]  # the permissions let nobody in unknown


def _version(template: EmailTemplate, number: str) -> TemplateVersion:
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise ValidationError({"from": ["Give the numbers of two versions: ?from=1&to=2."]})
    version = template.versions.filter(number=int(number)).first()
    if version is None:
        raise NotFound(f"There is no version {number} of this template; look at its list of versions.")
    return version
