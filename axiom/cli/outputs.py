"""Files that a command will write, tried before its work begins: a refusal costs a second, not the work."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from axiom.errors import ConfigError, DataError


def check_file(option: str, path: Path, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Raise DataError unless the file can be written; what stands there stays as it is.

    `suffixes` are the formats there are, `inputs` files that must not be overwritten.
    """
    if path.suffix not in suffixes:
        raise DataError(f"{option} {path} must end in {_either(suffixes)}; name a {_either(suffixes)} file")
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise DataError(f"{option} {path} is {source}, which is read; name another file")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{option} {path}: the folder {path.absolute().parent} does not exist; make it first")
    there = os.path.lexists(path)
    try:
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise _refusal(option, path, error) from None


def check_folder(option: str, path: Path) -> None:
    """Make the folder and raise DataError unless files can be written into it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _refusal(option, path, error) from None


@contextmanager
def filled(option: str, folder: Path) -> Iterator[None]:
    """A new or empty folder that the block fills with files; without them again when the block fails.

    Raises ConfigError for one that holds something, and as `check_folder`.
    """
    there = folder.exists()
    if there and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{option} {str(folder)!r} is there and not an empty folder; name a new one")
    check_folder(option, folder)
    try:
        yield
    except BaseException:
        for made in folder.iterdir():
            shutil.rmtree(made) if made.is_dir() else made.unlink()
        if not there:
            folder.rmdir()
        raise


def _refusal(option: str, path: Path, error: OSError) -> DataError:
    return DataError(f"{option} {path} cannot be written ({error.strerror}); name another place")


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
