"""Prefect flows: `experiment` loops `iteration`; `study` runs arms over paired seeds."""

from axiom.flows.workarounds import mistakes as mistakes  # whatever flow runs, its log reads so
