"""The demo: a generated fleet, a published outage, the whole engine on one machine."""
