from templates_app.admin.template import EmailTemplateAdmin

__all__ = ["EmailTemplateAdmin"]
