"""axiom: controlled experiments on verified self-improvement of code models.

The library has no Prefect in it, and importing it loads no torch, vLLM or Altair:
`tasks` and `flows` put the stages below into a workflow.
"""

__version__ = "0.1.0"
