"""Words of a sentence: which ones count, and what is asked about them."""

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_WHICH = {
    "all": Option(0, "words", "", lambda w: True),
    **{f"long_{k}": Option(0, f"words of more than {k} characters", f"len(w) > {k}", lambda w, k=k: w[k:] != "") for k in (1, 2, 3, 4)},
    **{f"short_{k}": Option(0, f"words of fewer than {k} characters", f"len(w) < {k}", lambda w, k=k: w[k - 1 :] == "") for k in (3, 4, 5)},
    **{f"starts_{c}": Option(0, f"words that begin with {c!r}", f"w.startswith({c!r})", lambda w, c=c: w[:1] == c) for c in "aelst"},
    **{f"ends_{c}": Option(0, f"words that end with {c!r}", f"w.endswith({c!r})", lambda w, c=c: w[-1:] == c) for c in "aelst"},
    **{f"with_{c}": Option(0, f"words that contain {c!r}", f"{c!r} in w", lambda w, c=c: w.count(c) > 0) for c in "aeiot"},
    **{f"without_{c}": Option(0, f"words that do not contain {c!r}", f"{c!r} not in w", lambda w, c=c: not w.count(c)) for c in "aei"},
    "capital": Option(1, "words that begin with an upper-case letter", "w[0].isupper()", lambda w: "A" <= w[0] <= "Z"),
    "same_ends": Option(1, "words whose first and last character are the same", "w[0] == w[-1]", lambda w: w.startswith(w[-1])),
    "mirrored": Option(1, "words that read the same backwards", "w == w[::-1]", lambda w: list(w) == list(reversed(w))),
    "even": Option(1, "words of even length", "len(w) % 2 == 0", lambda w: not len(w) & 1),
    "vowel": Option(1, "words that begin with a vowel (aeiou, either case)", "w[0] in 'aeiouAEIOU'", lambda w: w[0].lower() in {*"aeiou"}),
    "repeats": Option(2, "words in which some character occurs twice", "len(set(w)) < len(w)", lambda w: any(w.count(c) > 1 for c in w)),
}
_QUESTIONS = {
    "count": Option(0, "how many {} there are in text", "len(words)", len),
    "letters": Option(2, "the total number of characters of the {} in text", "sum(len(w) for w in words)", lambda ws: len("".join(ws))),
    "different": Option(1, "how many different {} there are in text", "len(set(words))", lambda ws: len(dict.fromkeys(ws))),
    "longest": Option(3, "the length of the longest of the {} in text, or 0 if there are none", "max((len(w) for w in words), default=0)",
                      lambda ws: max([0, *map(len, ws)])),
    "shortest": Option(3, "the length of the shortest of the {} in text, or 0 if there are none", "min((len(w) for w in words), default=0)",
                       lambda ws: sorted(map(len, ws))[0] if ws else 0),
    "most": Option(4, "how often the most frequent of the {} occurs in text, or 0 if there are none",
                   "max((words.count(w) for w in words), default=0)", lambda ws: max([0, *(ws.count(w) for w in {*ws})])),
    "once": Option(4, "how many {} occur exactly once in text", "sum(1 for w in words if words.count(w) == 1)",
                   lambda ws: len([w for w in {*ws} if ws.count(w) == 1])),
    "first": Option(2, "the length of the first of the {} in text, or 0 if there are none", "len(words[0]) if words else 0",
                    lambda ws: len((ws or [""])[0])),
    "last": Option(2, "the length of the last of the {} in text, or 0 if there are none", "len(words[-1]) if words else 0",
                   lambda ws: len((ws or [""])[-1])),
}
_SPLIT = {
    "spaces": Option(0, "Words are separated by single spaces.", "text.split()", lambda t: _words(t)),
    "lower": Option(2, "Words are separated by single spaces. Upper case is read as lower case.", "text.lower().split()", lambda t: _words("".join(c.lower() for c in t))),
    "letters_e": Option(2, "Words are separated by single spaces. Every letter 'e' is left out first, and a word that is empty then is none.",
                        "text.replace('e', '').split()", lambda t: [w for w in ("".join(c for c in word if c != "e") for word in _words(t)) if w]),
    "not_first": Option(3, "Words are separated by single spaces. The first word is left out of account.", "text.split()[1:]", lambda t: _words(t)[1:]),
    "every_second": Option(3, "Words are separated by single spaces. Only the first, third, fifth word and so on count.", "text.split()[::2]", lambda t: [w for i, w in enumerate(_words(t)) if i % 2 == 0]),
}


def describe(v: Variant) -> str:
    return sentence(v["split"].words, f"Return {v['question'].words.format(v['which'].words)}.", v["finish"].words)


def program(v: Variant) -> str:
    chosen = f"[w for w in {v['split'].code} if {v['which'].code}]" if v["which"].code else v["split"].code
    return function(FAMILY.signature, f"words = {chosen}", f"return {finished(v['finish'], v['question'].code)}")


def solve(v: Variant, text: str) -> int:
    return v["finish"].run(v["question"].run([w for w in v["split"].run(text) if v["which"].run(w)]))


def _words(text: str) -> list[str]:
    return [w for w in text.split(" ") if w]


FAMILY = Family(
    name="word_count", title="Words of a sentence", entry_point="count_words", parameters="text: str", returns="int",
    axes={"which": _WHICH, "question": _QUESTIONS, "split": _SPLIT, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=inputs.of(inputs.sentence),
)
