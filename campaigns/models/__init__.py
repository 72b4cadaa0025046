from campaigns.models.campaign import Campaign, CampaignCount, CampaignTask
from campaigns.models.caught_message import CaughtMessage
from campaigns.models.recipient import Recipient, RecipientImport, RejectedRow, Suppression

__all__ = [
    "Campaign",
    "CampaignCount",
    "CampaignTask",
    "CaughtMessage",
    "Recipient",
    "RecipientImport",
    "RejectedRow",
    "Suppression",
]
