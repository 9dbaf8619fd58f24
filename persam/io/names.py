"""Names of result files: each belongs to one photo, whatever stems and suffixes an album mixes."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

MOST_BYTES = 255  # of a file name, on all common file systems
MOST_CONCEPT_BYTES = 100  # of a concept's part of it


@dataclass(frozen=True)
class Endings:
    """What may follow a photo's name in the names of its masks: _<concept>, _1 to _<most>, or both.

    concepts: as `file_part` gives them; none where there is one concept, which is not named.
    most: instances of a concept in a photo; one is not numbered.
    """

    concepts: tuple[str, ...] = ()
    most: int = 1

    @property
    def longest_bytes(self) -> int:
        concept = max((len(os.fsencode(part)) + 1 for part in self.concepts), default=0)
        return concept + (len(str(self.most)) + 1 if self.most > 1 else 0)

    def before(self, name: str) -> str | None:
        """The name of a photo whose mask could be called `name`; None where nothing is appended, or not this."""
        rest, known = name, {key(part) for part in self.concepts}
        if self.most > 1:
            rest, _, number = rest.rpartition("_")
            if not re.fullmatch("[1-9][0-9]*", number) or int(number) > self.most:
                return None
        if known:
            rest, _, concept = rest.rpartition("_")
            if key(concept) not in known:
                return None
        return rest if rest and rest != name else None


def key(name: str) -> str:
    """The same for names that some file system does not tell apart, by case or by how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()


def photo_names(files: Sequence[str], endings: Endings = Endings(), *, suffix_bytes: int = 4) -> list[str]:
    """A name for each photo by which its results are called, and no other photo's.

    It is the stem of the file (rex). Where another photo has the same stem, or one that a mask of this photo would be
    called by (rex_1 beside instances of rex), it is the whole name of the file (rex.jpg); where photos of several
    folders have the same whole name, the second is rex_2, or the next number that is free. Names that are too long for
    a file are cut, and end in a digest.

    Args:
        files: names of the files, in the album's order.
        endings: what is appended to a name.
        suffix_bytes: longest suffix of a result's file.
    """
    stems = Counter(key(PurePath(file).stem) for file in files)
    wholes = Counter(key(file) for file in files)
    owners = {key(before) for stem in stems if (before := endings.before(stem)) is not None}
    taken: set[str] = set()
    longest = MOST_BYTES - suffix_bytes - endings.longest_bytes
    names = []
    for file in files:
        own = key(PurePath(file).stem)
        for candidate in _candidates(file, alone=stems[own] == 1, whole=wholes[key(file)] == 1):
            name = shortened(candidate, longest)
            known, before = key(name), endings.before(name)
            is_others = known != own and known in stems
            if (
                known not in taken
                and known not in owners
                and not is_others
                and (before is None or key(before) not in taken)
            ):
                break
        taken.add(known)
        if before is not None:
            owners.add(key(before))
        names.append(name)
    return names


def _candidates(file: str, *, alone: bool, whole: bool) -> Iterator[str]:
    stem = PurePath(file).stem
    if alone or not whole:
        yield stem
    if whole:
        yield file
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


def file_part(concept: str) -> str:
    """A concept's name as the last part of a file name: letters, digits, . and - are kept, all else becomes -.

    Without an underscore in it, NAME_<concept> is another file for every photo and concept.
    """
    return shortened(re.sub(r"[^\w.-]|_", "-", concept), MOST_CONCEPT_BYTES)


def shortened(name: str, most_bytes: int) -> str:
    """The name, or as much of it as there is room for and a digest of all of it."""
    encoded = os.fsencode(name)
    if len(encoded) <= most_bytes:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return encoded[: most_bytes - 9].decode("utf-8", "ignore") + "~" + digest
