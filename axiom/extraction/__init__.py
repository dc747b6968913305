"""Completion -> program. The rules are on one page, docs/extraction.md."""

import re
from dataclasses import dataclass
from functools import partial

from axiom.extraction.assembly import assemble, given, replaces
from axiom.extraction.definitions import Definition, definition, may_define
from axiom.extraction.doubt import is_correction, is_doubted
from axiom.extraction.embedded import texts
from axiom.extraction.files import file_name
from axiom.extraction.mending import dedent, readings
from axiom.extraction.parsing import Parser
from axiom.extraction.reading import Reading, Region, read, regions
from axiom.extraction.shortcut import one_block
from axiom.extraction.statements import Run, has_prose, runs

__all__ = ["extract_code", "given"]

_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)(?:python\d?[ \t]+|py[ \t]+)?([^`\n]+)\1(?!`)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{(.*)\}", re.DOTALL)
_STAR = re.compile(r"import\s*\*")
_MARKDOWN = re.compile(r"\\([_*\[\]()#`<>])")
_DEEPEST = 3  # blocks inside blocks, data inside data


def extract_code(completion: str, entry_point: str) -> str:
    """The program in a completion: plain source that defines `entry_point` wherever the completion holds it.

    Takes time linear in the size of the completion. A completion without the function comes back as the block that
    mentions it, as its first block, or as it is: the verifier will say what it lacks.
    """
    text = completion.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    parse = Parser(len(text))
    return one_block(text, entry_point, parse) or by_all_rules(text, entry_point, parse)


def by_all_rules(text: str, entry_point: str, parse: Parser) -> str:
    """The program in a text whose lines end in newlines alone, without the shortcut for the commonest one."""
    return _Extraction(text, entry_point, parse).program()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Source that parses, how it defines the function, and whether the text around it speaks against it."""

    source: str
    defines: Definition = Definition.NONE
    doubted: bool = False

    @property
    def rank(self) -> tuple[Definition, bool]:
        return self.defines, not self.doubted


_BEST = (Definition.WHOLE, True)


def _has_a_fence_outside_strings(text: str) -> bool:
    """Whether some line opens a block for certain, so that the text cannot parse. No means perhaps."""
    if text.startswith(("```", "~~~")):
        return True
    before, fence, _ = text.partition("\n```")
    return bool(fence) and not any(sign in before for sign in ('"""', "'''", "\\"))


class _Extraction:
    """One completion on its way to a program."""

    def __init__(self, text: str, entry_point: str, parse: Parser) -> None:
        self._text, self._name, self._parse = text, entry_point, parse
        self._pieces: dict[tuple[Region, str], list[_Piece]] = {}

    def program(self) -> str:
        """The text as a whole, else the answer, else the reasoning, else what there is."""
        reading = self._whole() or read(self._text, self._parse)
        place, best = self._best(reading.answer)
        if reading.passed and not best.defines:
            reading = read(self._text, self._parse, strings=False)
            place, best = self._best(reading.answer)
        found = reading.answer
        if best.defines <= Definition.STUB and self._name in reading.reasoning:
            inside = regions(reading.reasoning, self._parse)
            other_place, other = self._best(inside)
            if other.defines > best.defines:
                found, place, best = inside, other_place, other
        if not best.defines:
            return self._escaped() or self._rest(reading.answer)
        main = self._corrected(best.source, found, place)
        files, others = partial(self._files, found, place), partial(self._others, found, place)
        return assemble(main, files, others, self._name, self._parse)

    def _corrected(self, main: str, found: list[Region], place: tuple[int, int]) -> str:
        """`main` with the functions that a later piece replaces, if the text above that piece says so."""
        for number in range(place[0] + 1, len(found)):
            if is_correction(found[number].intro):
                for piece in self._of_region(found, number):
                    if not piece.doubted and replaces(piece.source, main, self._parse):
                        main = f"{main}\n\n\n{piece.source}"
        return main

    def _escaped(self) -> str:
        """The program of a text that is written with escapes: of Python on one line, or of Markdown."""
        text = self._text.strip()
        plain = text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t") if "\n" not in text else text
        boxed = _BOXED.search(plain)
        plain = _MARKDOWN.sub(r"\1", boxed[1] if boxed else plain)
        return by_all_rules(plain, self._name, Parser(len(plain))) if plain != text and self._name in plain else ""

    def _whole(self) -> Reading | None:
        """The text as one region, if it is nothing but a program, or a program and single words."""
        text = dedent(self._text)
        if _has_a_fence_outside_strings(text) or not may_define(text, self._name):
            return None
        tree = self._parse(text)
        if tree is None or definition(tree, text, self._name) < Definition.BUILT:
            return None
        return Reading([Region(text, fenced=not has_prose(tree, set()))], "")

    def _best(self, found: list[Region]) -> tuple[tuple[int, int], _Piece]:
        """The last of the strongest pieces, and its place: the number of the region and of the piece in it."""
        best, place = _Piece(""), (-1, -1)
        for number in range(len(found) - 1, -1, -1):
            if may_define(found[number].text, self._name):
                pieces = self._of_region(found, number)
                for inner in range(len(pieces) - 1, -1, -1):
                    if pieces[inner].rank > best.rank:
                        best, place = pieces[inner], (number, inner)
            if best.rank == _BEST:
                break
        return place, best

    def _others(self, found: list[Region], place: tuple[int, int], wanted: set[str]) -> list[str]:
        """Sources that the piece at `place` may borrow `wanted` from: earlier ones from the nearest on, then later.

        Those that the text speaks against come last. None when no text can define a name of `wanted`.
        """
        alone = len(self._of_region(found, place[0])) == 1
        texts = [region.text for number, region in enumerate(found) if not (alone and number == place[0])]
        if not any(_STAR.search(text) or any(may_define(text, name) for name in wanted) for text in texts):
            return []
        pieces = {
            (number, inner): piece
            for number in range(len(found))
            for inner, piece in enumerate(self._of_region(found, number))
        }
        before = [piece for at, piece in pieces.items() if at < place]
        behind = [piece for at, piece in pieces.items() if at > place]
        ordered = sorted([*reversed(before), *behind], key=lambda piece: piece.doubted)
        return [piece.source for piece in ordered]

    def _files(self, found: list[Region], place: tuple[int, int]) -> dict[str, str]:
        """The blocks that have a file's name, but the one at `place`."""
        return {
            file_name(region.text, region.info, region.intro): piece.source
            for number, region in enumerate(found)
            if region.fenced and number != place[0] and file_name(region.text, region.info, region.intro)
            for piece in self._of_region(found, number)[:1]
            if not piece.doubted
        }

    def _of_region(self, found: list[Region], number: int) -> list[_Piece]:
        below = found[number + 1].text.lstrip() if number + 1 < len(found) and not found[number + 1].fenced else ""
        outro = below.partition("\n")[0] if found[number].fenced else ""
        key = (found[number], outro)
        if key not in self._pieces:
            self._pieces[key] = self._split(found[number], outro, 0)
        return self._pieces[key]

    def _split(self, region: Region, outro: str, depth: int) -> list[_Piece]:
        """The programs in a region."""
        found = self._block(region, outro, depth) if region.fenced else self._bare(region.text)
        if any(piece.defines for piece in found) or self._name not in region.text or depth == _DEEPEST:
            return found
        for text in texts(region.text, self._name, self._parse):
            found += self._inner(text, depth)
        if not region.fenced:
            inline = [match[2].strip() for match in _INLINE.finditer(region.text) if self._name in match[2]]
            found += [self._piece(Run(source, "")) for source in inline if self._parse(source)]
        return found

    def _block(self, region: Region, outro: str, depth: int) -> list[_Piece]:
        """A fenced block: the block itself, else another reading of it, blocks in it, or its whole statements."""
        if self._parse(region.text) is not None:
            return [self._piece(Run(region.text, region.intro), outro)]
        others = [source for source in readings(region.text) if self._parse(source) is not None]
        found = [self._piece(Run(source, region.intro), outro) for source in others]
        if whole := [piece for piece in found if piece.defines]:
            return whole[:1]
        if ("```" in region.text or "~~~" in region.text) and depth < _DEEPEST:
            return self._inner(region.text, depth)
        parts = runs(region.text, self._parse)
        return [self._piece(Run(run.source, run.intro or region.intro)) for run in parts] or found

    def _bare(self, text: str) -> list[_Piece]:
        """The runs of statements in text without a fence, read in other ways if none of them is the function."""
        found = [self._piece(run) for run in runs(text, self._parse)]
        if self._name in text and not any(piece.defines for piece in found):
            for reading in readings(text):
                found += [self._piece(run) for run in runs(reading, self._parse)]
        return found

    def _inner(self, text: str, depth: int) -> list[_Piece]:
        """The programs of a text inside a block or inside data."""
        source = dedent(text)
        tree = self._parse(source)
        if tree is not None and not has_prose(tree, set()) and (piece := self._piece(Run(source, ""))).defines:
            return [piece]
        found = read(text, self._parse).answer
        return [piece for region in found for piece in self._split(region, "", depth + 1)]

    def _piece(self, run: Run, outro: str = "") -> _Piece:
        tree = self._parse(run.source)
        defines = definition(tree, run.source, self._name) if tree is not None else Definition.NONE
        return _Piece(run.source, defines, is_doubted(run.intro, run.source, outro))

    def _rest(self, found: list[Region]) -> str:
        """What is judged where nothing defines the function."""
        blocks = [region.text for region in found if region.fenced]
        mentions = [block for block in blocks if re.search(rf"\bdef {re.escape(self._name)}\b", block)]
        return (mentions[-1] if mentions else blocks[0] if blocks else self._text).strip()
