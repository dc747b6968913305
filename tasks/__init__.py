"""Prefect tasks: each loads its inputs, calls the library, saves, and returns a small handle.

State lives in the store; Prefect is view and control. So Prefect's result cache stays off, and a stage that the store
already holds returns `Completed(name="Reused")`.
"""
