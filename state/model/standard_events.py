"""The events that are planned without a project saying so, under the names that customer data systems agree on.

Names and properties are those of Segment's semantic events (its specs for e-commerce, B2B SaaS, mobile, e-mail and
live chat) where they exist; the others are what Millstream's own sources say. Aliases are what Google Analytics 4 and
common trackers call the same. None of their properties is required: a project says which it needs.

https://segment.com/docs/connections/spec/semantic/
https://support.google.com/analytics/answer/9267735 (recommended events)
"""

from __future__ import annotations

from collections.abc import Mapping

from millstream.state.model.tracking_plan import PlannedEvent, PropertyType, TrackingPlan, fold

Properties = dict[str, PropertyType]

_PRODUCT: Properties = {"product_id": "text", "sku": "text", "name": "text", "price": "number", "quantity": "number"}
_ORDER: Properties = {
    "order_id": "text", "total": "number", "revenue": "number", "subtotal": "number", "shipping": "number",
    "tax": "number", "discount": "number", "coupon": "text",
}  # fmt: skip
_CHECKOUT: Properties = {"checkout_id": "text", "step": "number", "payment_method": "text", "shipping_method": "text"}
_PROMOTION: Properties = {"promotion_id": "text", "creative": "text", "position": "text", "name": "text"}
_COUPON: Properties = {"order_id": "text", "cart_id": "text", "coupon_id": "text", "discount": "number"}
_DEAL: Properties = {"deal_id": "text", "pipeline": "text", "stage": "text"}

# Aliases, then properties.
_BEHAVIOUR: dict[str, tuple[tuple[str, ...], Properties]] = {
    "Page Viewed": (("page_view", "pageview", "viewed page", "$mp_web_page_view"), {"path": "text", "url": "text"}),
    "Screen Viewed": (("screen_view", "viewed screen"), {"name": "text"}),
    "Signed Up": (("sign_up", "user signed up", "complete_registration"), {}),
    "Signed In": (("login", "logged in", "sign_in"), {}),
    "Signed Out": (("logout", "logged out", "sign_out"), {}),
    "Account Created": ((), {}),
    "Account Deleted": ((), {}),
    "Account Added User": ((), {}),
    "Account Removed User": ((), {}),
    "Invite Sent": (("invitation sent",), {}),
    "Trial Started": (("start_trial",), {}),
    "Trial Ended": ((), {}),
    "Lead Generated": (("generate_lead", "lead created"), {}),
    "Lead Converted": ((), {}),
    "Experiment Viewed": (("$experiment_started",), {"experiment_id": "text", "variation_id": "text"}),
    "Application Installed": (("app installed", "first_open", "$ae_first_open"), {}),
    "Application Opened": (("app opened", "app_open"), {}),
    "Application Updated": (("app updated", "app_update", "$ae_updated"), {}),
    "Application Backgrounded": (("app backgrounded",), {}),
    "Application Crashed": (("app crashed", "app_exception", "$ae_crashed"), {}),
    "Application Uninstalled": (("app uninstalled", "app_remove"), {}),
    "Deep Link Opened": ((), {"url": "text"}),
    "Deep Link Clicked": ((), {"url": "text"}),
}
_SHOPPING: dict[str, tuple[tuple[str, ...], Properties]] = {
    "Products Searched": (("search", "product searched", "view_search_results"), {"query": "text"}),
    "Product List Viewed": (("view_item_list", "viewed product list", "viewed product category"), {"list_id": "text"}),
    "Product List Filtered": ((), {"list_id": "text"}),
    "Promotion Viewed": (("view_promotion", "viewed promotion"), _PROMOTION),
    "Promotion Clicked": (("select_promotion", "clicked promotion"), _PROMOTION),
    "Product Clicked": (("select_item", "clicked product"), _PRODUCT),
    "Product Viewed": (("view_item", "viewed product", "view_content"), _PRODUCT),
    "Product Added": (("add_to_cart", "added product", "added to cart"), _PRODUCT),
    "Product Removed": (("remove_from_cart", "removed product", "removed from cart"), _PRODUCT),
    "Cart Viewed": (("view_cart", "viewed cart"), {"cart_id": "text"}),
    "Checkout Started": (("begin_checkout", "started checkout", "initiate_checkout"), _ORDER),
    "Checkout Step Viewed": (("viewed checkout step",), _CHECKOUT),
    "Checkout Step Completed": (("completed checkout step", "add_shipping_info"), _CHECKOUT),
    "Payment Info Entered": (("add_payment_info",), _CHECKOUT),
    "Order Completed": (("purchase", "order placed", "placed order", "completed order", "ecommerce_purchase"), _ORDER),
    "Order Updated": (("updated order",), _ORDER),
    "Order Refunded": (("refund", "refunded order", "order refund"), _ORDER),
    "Order Cancelled": (("order canceled", "cancelled order", "canceled order"), _ORDER),
    "Coupon Entered": (("entered coupon",), _COUPON),
    "Coupon Applied": (("applied coupon",), _COUPON),
    "Coupon Denied": ((), _COUPON),
    "Coupon Removed": ((), _COUPON),
    "Product Added to Wishlist": (("add_to_wishlist",), _PRODUCT),
    "Product Removed from Wishlist": ((), _PRODUCT),
    "Wishlist Product Added to Cart": ((), _PRODUCT),
    "Product Shared": (("shared product",), _PRODUCT),
    "Cart Shared": ((), {"cart_id": "text"}),
    "Product Reviewed": (("reviewed product",), {"product_id": "text", "rating": "number"}),
    "Deal Created": (("opportunity created",), _DEAL),
    "Deal Won": (("opportunity won", "close_convert_lead"), _DEAL),
    "Deal Lost": (("opportunity lost",), _DEAL),
}
_MESSAGES: dict[str, tuple[tuple[str, ...], Properties]] = {
    "Email Sent": (("$campaign_delivery",), {}),
    "Email Processed": ((), {}),
    "Email Delivered": ((), {}),
    "Email Deferred": ((), {}),
    "Email Dropped": ((), {}),
    "Email Suppressed": ((), {}),
    "Email Bounced": (("email bounce",), {}),
    "Email Unbounced": ((), {}),
    "Email Opened": (("email open", "opened email"), {}),
    "Email Link Clicked": (("email clicked", "email click", "clicked email"), {"link_url": "text"}),
    "Email Clicked By Program": ((), {}),
    "Email Opened By Program": ((), {}),
    "Email Printed": ((), {}),
    "Email Forwarded": ((), {}),
    "Email Marked as Spam": (("spam report", "spam complaint"), {}),
    "Email Preferences Changed": ((), {}),
    "Email Subscribed": ((), {}),
    "Unsubscribed": (("email unsubscribed", "unsubscribe"), {}),
    "Push Notification Received": (("notification_receive",), {}),
    "Push Notification Tapped": (("push notification opened", "notification_open"), {}),
    "Push Notification Bounced": ((), {}),
    "SMS Sent": ((), {}),
    "SMS Delivered": ((), {}),
    "SMS Link Clicked": ((), {}),
    "Campaign Joined": ((), {}),
    "Campaign Responded": ((), {}),
    "Analytics Audience Member": ((), {"audience_name": "text"}),
    "Analytics Cohort Member": ((), {"cohort_id": "text", "cohort_name": "text"}),
}
_SERVICE: dict[str, tuple[tuple[str, ...], Properties]] = {
    "Survey Responded": (("survey answered", "survey completed"), {"survey_id": "text", "nps_score": "number"}),
    "Satisfaction Rated": ((), {}),
    "Ticket Opened": (("ticket created",), {"ticket_id": "text"}),
    "Ticket Solved": ((), {"ticket_id": "text"}),
    "Ticket Closed": ((), {"ticket_id": "text"}),
    "Ticket Reopened": ((), {"ticket_id": "text"}),
    "Ticket Commented": ((), {"ticket_id": "text"}),
    "Ticket Answered": ((), {"ticket_id": "text"}),
    "Live Chat Conversation Started": ((), {}),
    "Live Chat Conversation Ended": ((), {}),
    "Live Chat Message Sent": ((), {}),
    "Live Chat Message Received": ((), {}),
    "Task Completed": ((), {}),
    "Call Logged": ((), {}),
    "Email Logged": ((), {}),
}

STANDARD_EVENTS: Mapping[str, PlannedEvent] = {
    name: PlannedEvent(aliases=aliases, properties=dict(properties))
    for section in (_BEHAVIOUR, _SHOPPING, _MESSAGES, _SERVICE)
    for name, (aliases, properties) in section.items()
}
"""Planned events by canonical name."""


def whole_plan(plan: TrackingPlan) -> TrackingPlan:
    """A project's plan with the standard events that it leaves as they are.

    What the project says of a standard event stands in place of what is said here, key by key; aliases and properties
    add up. A standard name or alias that the project gives to another event belongs to that one, and a standard event
    whose name it takes so goes with all of its aliases.
    """
    if not plan.standard_events:
        return plan
    events, claimed = dict(plan.events), plan.names()
    for name, standard in STANDARD_EVENTS.items():
        holder = claimed.get(fold(name), name)
        free = tuple(alias for alias in standard.aliases if fold(alias) not in claimed)
        mine = events.get(holder)
        if mine is None:
            events[name] = standard.model_copy(update={"aliases": free})
        elif fold(holder) == fold(name):
            said = {key: getattr(mine, key) for key in mine.model_fields_set}
            said |= {"aliases": (*mine.aliases, *free), "properties": {**standard.properties, **mine.properties}}
            events[holder] = standard.model_copy(update=said)
        else:
            events[holder] = mine.model_copy(update={"aliases": (*mine.aliases, *free)})
    return TrackingPlan(standard_events=False, events=events)
