"""Prefect flows: `experiment` loops `iteration`; `study` runs arms over paired seeds."""

# Whichever flow runs, its log reads so, and a signal ends it.
from axiom.flows.workarounds import mistakes as mistakes, signals as signals
