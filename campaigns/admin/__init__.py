from campaigns.admin.campaign import CampaignAdmin
from campaigns.admin.caught import CaughtMessageAdmin
from campaigns.admin.imports import RecipientImportAdmin
from campaigns.admin.recipient import RecipientAdmin
from campaigns.admin.suppression import SuppressionAdmin
from campaigns.admin.transport import TransportAdmin

__all__ = [
    "CampaignAdmin",
    "CaughtMessageAdmin",
    "RecipientAdmin",
    "RecipientImportAdmin",
    "SuppressionAdmin",
    "TransportAdmin",
]
