"""Whether the text around a block says that its program is not the answer."""

import re


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE)


_AGAINST = _phrases(
    "wrong",
    "incorrect(?:ly)?",
    "buggy",
    "broken",
    "mistakes?",
    "pitfalls?",
    "anti-?pattern",
    "bad",
    "alternative(?:ly)?",
    r"another (?:\w+ )?(?:way|approach|option)",
    "(?:could|can) also",
    "for comparison",
    r"not (?:\w+ )?(?:correct|right|work\w*)",
    "(?:does|do|will|would)(?:n['’]t| not) work",
    "(?:this|which|following) .*fails?",
)
_SHOWN = re.compile(
    r"\bcommon(?:ly)? (?:\w+ )?(?:mistakes?|pitfalls?|errors?|bugs?)\b|\b(?:how|what) not to\b"
    r"|\b(?:mistake|wrong|incorrect)\b(?: \w+){0,2} (?:is|would be) to\b"
    r"|\((?:please )?(?:do not|don['’]t|never)\b[^()]*\)"
    r"|\b(?:do not|don['’]t) (?:do|write|use|copy) (?:this|it|that)\W*$",
    re.IGNORECASE,
)
"""Says that a block is shown as a mistake, also where it says "instead"."""
_COMMAND = re.compile(
    r"[\W\d]*(?:do not|don['’]t|avoid|never|what not to|instead of|rather than|your)\b[^,;]*$", re.IGNORECASE
)
_LABEL = re.compile(
    r"\W*(?:\w+\W+){0,3}(?:na[iï]ve|original|before|brute[- ]force|slow)\b(?:\W+\w+){0,3}\W*", re.IGNORECASE
)
_FOR = _phrases(
    "correct(?:ed|ly)?",
    "fix(?:ed|es)?",
    "right",
    "proper(?:ly)?",
    "final",
    "works",
    "working",
    "improved?",
    "better",
    "updated?",
    "instead(?! of)",
    "solution",
    "actual(?:ly)?",
    "should be",
)
_INSTEAD = re.compile(r"\binstead\b", re.IGNORECASE)
_REPLACES = _phrases("replac(?:e|ed|ing)", "chang(?:e|ed)", "rewrit(?:e|ten)", "oops", "correction", "mistake")
_PAST = _phrases(
    "that(?:['’]s| is| was| fails)", "above", "previous(?:ly)?", "earlier", "last", "first", "my", "i made", "was"
)
_BELOW = re.compile(
    r"\W*(?:but |however, )?(?:this|that|it)\b(?: \w+){0,2} (?:wrong|incorrect|buggy|not work|fails)\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


def is_doubted(intro: str, source: str, outro: str) -> bool:
    """Whether a block is called wrong, an alternative or the like, above, in its first comment or just below."""
    comment = source.partition("\n")[0] if source.startswith("#") else ""
    last = _SENTENCE.split(intro.strip()[-400:])[-1]
    return _speaks_against(last) or _speaks_against(comment) or bool(_BELOW.match(outro.strip()[:200]))


def is_correction(intro: str) -> bool:
    """Whether the text above a block says that the block replaces what came before."""
    return bool(_FOR.search(intro[-400:]) or _REPLACES.search(intro[-400:]))


def _speaks_against(sentence: str) -> bool:
    if _PAST.search(sentence) or not sentence:
        return False
    against = _AGAINST.search(sentence) or _COMMAND.match(sentence) or _LABEL.fullmatch(sentence)
    shown = _SHOWN.search(sentence)
    rest = _AGAINST.sub("", sentence)
    return bool(shown or against) and not _FOR.search(_INSTEAD.sub("", rest) if shown else rest)
