"""A mistake or a machine's failure in a run's log: one sentence, without the traceback of the engine that carried it.

Prefect logs every exception of a flow or task with its traceback, up to three times. For an error whose message is the
whole story, the first record keeps the sentence and the others go; the state's message has it too. On the command line
all of them go, since the command prints the sentence itself; so does the record of a signal, which is no crash there.
"""

import logging
import os

from prefect.context import FlowRunContext

from axiom.errors import classified

LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine", "prefect.flows")
ABORTED = "Crash detected! Execution was aborted by"
SIGNALS = (f"{ABORTED} an interrupt signal", f"{ABORTED} a termination signal")


def shorten(record: logging.LogRecord) -> bool:
    """A logging filter: whether the record stays, after its traceback was taken off."""
    if str(record.msg).startswith(SIGNALS):
        return "PREFECT__FLOW_RUN_ID" in os.environ  # a worker's run: nobody reads what a command would say
    error = record.exc_info[1] if record.exc_info else None
    found = classified(error) if error is not None else None
    if error is None or found is None:
        return True
    context = FlowRunContext.get()
    deployed = context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None
    record.msg, record.args, record.exc_info, record.exc_text = str(found), (), None, None
    return deployed and vars(error).setdefault("logged", record) is record


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(shorten)
