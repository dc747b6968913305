"""Runs and studies as charts and self-contained HTML pages."""
