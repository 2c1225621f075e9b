"""Telling people: decide, route, deliver."""
