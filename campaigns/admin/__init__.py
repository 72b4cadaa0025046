from campaigns.admin.campaign import CampaignAdmin
from campaigns.admin.caught import CaughtMessageAdmin
from campaigns.admin.dkim_key import DkimKeyAdmin
from campaigns.admin.domain_limit import DomainLimitAdmin
from campaigns.admin.imports import RecipientImportAdmin
from campaigns.admin.recipient import RecipientAdmin
from campaigns.admin.suppression import SuppressionAdmin
from campaigns.admin.transport import TransportAdmin

__all__ = [
    "CampaignAdmin",
    "CaughtMessageAdmin",
    "DkimKeyAdmin",
    "DomainLimitAdmin",
    "RecipientAdmin",
    "RecipientImportAdmin",
    "SuppressionAdmin",
    "TransportAdmin",
]
