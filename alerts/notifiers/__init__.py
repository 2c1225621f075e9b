"""Those who can be told: one notifier, one file, one conformance suite."""
