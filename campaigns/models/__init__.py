from campaigns.models.campaign import Campaign, CampaignCount, CampaignTask
from campaigns.models.caught_message import CaughtMessage
from campaigns.models.event import CampaignEvent, CampaignHour, CampaignSample
from campaigns.models.recipient import Recipient, RecipientImport, RejectedRow, SoftBounce, Suppression
from campaigns.models.tracked_link import LinkCount, TrackedLink
from campaigns.models.transport import DkimKey, DomainLimit, MailBreaker, MailBucket, MailTransport

__all__ = [
    "Campaign",
    "CampaignCount",
    "CampaignEvent",
    "CampaignHour",
    "CampaignSample",
    "CampaignTask",
    "CaughtMessage",
    "DkimKey",
    "DomainLimit",
    "LinkCount",
    "MailBreaker",
    "MailBucket",
    "MailTransport",
    "Recipient",
    "RecipientImport",
    "RejectedRow",
    "SoftBounce",
    "Suppression",
    "TrackedLink",
]
