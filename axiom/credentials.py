"""Credentials do not belong into settings: those are stored and shown in plain text, by axiom and by Prefect.

Recognised are a password in a URL, a value given to a name like token or secret, and some services' own marks. A word
that only looks like one (`task-...`, `disk-...`, `token=bpe`) is none: each form asks for where it stands and how long
its value is.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field


def _named(*words: str, least: int) -> str:
    """`name=value` with one of the words in the name, in lower, upper or title case, and a value of that length."""
    names = "|".join(form for word in words for form in (word, word.upper(), word.title()))
    return rf"(?:^|[^A-Za-z0-9._/-])(?:[A-Za-z0-9]+[_-])*(?:{names})(?:[_-][A-Za-z0-9]+)*=[^&\s]{{{least},}}"


CREDENTIAL = "|".join(
    (
        r"://[^/@\s]*:[^/@\s]+@",
        _named("secret", "password", "passwd", "api[_-]?key", "access[_-]?key", least=4),
        _named("token", "signature", "sig", "credentials?", least=12),
        r"(?:^|[^A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|hf_[A-Za-z0-9]{30}|gh[pousr]_[A-Za-z0-9]{30}"
        r"|sk-(?:(?:proj|svcacct|admin|ant-[a-z0-9]+|or-v1)-[A-Za-z0-9_-]{20}|[A-Za-z0-9]{20}))",
    )
)
WITHOUT = {"not": {"description": "a credential, which would be stored in plain text", "pattern": CREDENTIAL}}
"""The same for a JSON schema: what Prefect's server refuses, it never stores. Its refusal quotes all of this, so the
shape of a text stands in a pattern of its own, which a person can read.
"""


def plain(text: str, what: str = "the value") -> str:
    """`text`. Raises ValueError, with all from the credential on left out, when it holds one; `what` names it."""
    found = re.search(CREDENTIAL, text)
    if found:
        raise ValueError(
            f"{what} {text[: found.start()] + '***'!r} holds a credential, which would be stored and shown in plain "
            f"text; leave it out and set it in the environment of whoever runs this (AWS_SECRET_ACCESS_KEY, HF_TOKEN, "
            f"...) or in a Prefect block"
        )
    return text


def hidden(text: str) -> str:
    """`text` with `***` from each credential to the end of its word: what a library says may repeat an address."""
    return re.sub(rf"(?:{CREDENTIAL})\S*", "***", text)


Plain = Annotated[str, AfterValidator(lambda text: plain(text)), Field(json_schema_extra=dict(WITHOUT))]
"""Text without a credential, as a parameter of a flow."""
