"""Prefect flows: `experiment` loops `iteration`; `study` runs arms over paired seeds."""
