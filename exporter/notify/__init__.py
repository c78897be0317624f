"""Posting to Alertmanagers over HTTP."""
