"""The catalogue: which dimensions and metrics there are."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.ga4.errors import invalid

INTEGER, FLOAT, SECONDS, CURRENCY = "TYPE_INTEGER", "TYPE_FLOAT", "TYPE_SECONDS", "TYPE_CURRENCY"


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """One dimension or metric as the metadata shows it; `type` is empty for dimensions."""

    name: str
    title: str
    category: str
    type: str = ""
    former_names: tuple[str, ...] = ()
    of_items: bool = False
    custom: bool = False


DIMENSIONS = {
    one.name: one
    for one in (
        FieldFacts("date", "Date", "Time"),
        FieldFacts("dateHour", "Date + hour (YYYYMMDDHH)", "Time"),
        FieldFacts("hour", "Hour", "Time"),
        FieldFacts("day", "Day", "Time"),
        FieldFacts("month", "Month", "Time"),
        FieldFacts("year", "Year", "Time"),
        FieldFacts("yearMonth", "Year month", "Time"),
        FieldFacts("dayOfWeek", "Day of week", "Time"),
        FieldFacts("dayOfWeekName", "Day of week name", "Time"),
        FieldFacts("sessionDefaultChannelGroup", "Session default channel group", "Traffic source"),
        FieldFacts("sessionSource", "Session source", "Traffic source"),
        FieldFacts("sessionMedium", "Session medium", "Traffic source"),
        FieldFacts("sessionSourceMedium", "Session source / medium", "Traffic source"),
        FieldFacts("sessionCampaignName", "Session campaign", "Traffic source"),
        FieldFacts("firstUserDefaultChannelGroup", "First user default channel group", "Traffic source"),
        FieldFacts("deviceCategory", "Device category", "Platform / device"),
        FieldFacts("operatingSystem", "Operating system", "Platform / device"),
        FieldFacts("browser", "Browser", "Platform / device"),
        FieldFacts("country", "Country", "Geography"),
        FieldFacts("countryId", "Country ID", "Geography"),
        FieldFacts("city", "City", "Geography"),
        FieldFacts("language", "Language", "User"),
        FieldFacts("platform", "Platform", "Platform / device"),
        FieldFacts("newVsReturning", "New / returning", "User"),
        FieldFacts("landingPage", "Landing page", "Page / screen"),
        FieldFacts("pagePath", "Page path", "Page / screen"),
        FieldFacts("pageTitle", "Page title", "Page / screen"),
        FieldFacts("hostName", "Hostname", "Page / screen"),
        FieldFacts("eventName", "Event name", "Event"),
        FieldFacts("itemName", "Item name", "Ecommerce", of_items=True),
        FieldFacts("customEvent:plan", "Plan", "Custom", custom=True),
    )
}

METRICS = {
    one.name: one
    for one in (
        FieldFacts("sessions", "Sessions", "Session", INTEGER),
        FieldFacts("engagedSessions", "Engaged sessions", "Session", INTEGER),
        FieldFacts("engagementRate", "Engagement rate", "Session", FLOAT),
        FieldFacts("bounceRate", "Bounce rate", "Session", FLOAT),
        FieldFacts("averageSessionDuration", "Average session duration", "Session", SECONDS),
        FieldFacts("sessionsPerUser", "Sessions per user", "Session", FLOAT),
        FieldFacts("screenPageViewsPerSession", "Views per session", "Session", FLOAT),
        FieldFacts("totalUsers", "Total users", "User", INTEGER),
        FieldFacts("activeUsers", "Active users", "User", INTEGER),
        FieldFacts("newUsers", "New users", "User", INTEGER),
        FieldFacts("userEngagementDuration", "User engagement", "User", SECONDS),
        FieldFacts("screenPageViews", "Views", "Page / screen", INTEGER),
        FieldFacts("eventCount", "Event count", "Event", INTEGER),
        FieldFacts("keyEvents", "Key events", "Event", FLOAT, ("conversions",)),
        FieldFacts("sessionKeyEventRate", "Session key event rate", "Session", FLOAT, ("sessionConversionRate",)),
        FieldFacts("eventsPerSession", "Events per session", "Event", FLOAT),
        FieldFacts("screenPageViewsPerUser", "Views per user", "Page / screen", FLOAT),
        FieldFacts("addToCarts", "Add to carts", "Ecommerce", INTEGER),
        FieldFacts("transactions", "Transactions", "Ecommerce", INTEGER),
        FieldFacts("ecommercePurchases", "Ecommerce purchases", "Ecommerce", INTEGER),
        FieldFacts("purchaseRevenue", "Purchase revenue", "Revenue", CURRENCY),
        FieldFacts("totalRevenue", "Total revenue", "Revenue", CURRENCY),
        FieldFacts("averagePurchaseRevenue", "Average purchase revenue", "Revenue", CURRENCY),
        FieldFacts("itemsPurchased", "Items purchased", "Ecommerce", INTEGER, of_items=True),
        FieldFacts("itemRevenue", "Item revenue", "Ecommerce", CURRENCY, of_items=True),
    )
}
_FORMER = {former: one.name for one in METRICS.values() for former in one.former_names}


def dimension(name: str) -> FieldFacts:
    """A dimension by API name, or the vendor's refusal."""
    if name not in DIMENSIONS:
        raise invalid(f"Field {name} is not a valid dimension.")
    return DIMENSIONS[name]


def metric(name: str) -> FieldFacts:
    """A metric by API name (an old one will do), or the vendor's refusal."""
    name = _FORMER.get(name, name)
    if name not in METRICS:
        raise invalid(f"Field {name} is not a valid metric.")
    return METRICS[name]


def compatible(one: FieldFacts, other: FieldFacts) -> bool:
    """Whether two fields may stand in one report.

    Facts about items cannot be joined with facts about events and sessions; other dimensions go with either.
    """
    if not one.type and not other.type:
        return True
    if one.type and other.type:
        return one.of_items == other.of_items
    dimension_, metric_ = (one, other) if other.type else (other, one)
    return metric_.of_items or not dimension_.of_items
