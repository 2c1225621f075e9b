"""One command, one file; each has a click command named `command`."""
