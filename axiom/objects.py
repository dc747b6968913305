"""Object stores: their buckets, a file that is made only where there is none, and what their libraries raise, in a
sentence.

A store is any file system of fsspec that is not the local one. s3fs, gcsfs and adlfs retry a busy store and a lost
connection by themselves; what reaches us here has been tried several times.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from axiom.credentials import hidden
from axiom.errors import AxiomError, ConfigError, StorageError

WITH_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols whose addresses begin with a bucket. It is never made here: a mistyped name would make another."""
PATTERN = "*?[]"
"""Signs with which fsspec takes a path for all that match it; what deletes one folder would delete others."""
WITHOUT_CREDENTIALS = ("Credential", "ProfileNotFound", "TokenRetrieval")
"""What the names of errors contain that say that nobody is logged in."""
CONFLICT = "conflicting"
"""In what S3 says where requests for one name came at the same time: none has written, and any may try again."""
TRIES, CONFLICT_SECONDS = 20, 0.1
"""How often it is tried again, and how long after."""


def connect(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address and the path there.

    No listing is cached: another process may be writing. Raises ConfigError when the address cannot be used.
    """
    protocol, _, rest = url.partition("://")
    if protocol in WITH_BUCKETS and not rest.strip("/"):  # before gcsfs looks for credentials, which takes seconds
        raise ConfigError(
            f"the store's address {url!r} names no bucket; write it like s3://bucket or s3://bucket/axiom"
        )
    try:
        files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"the store's address {url!r} cannot be used: {error}") from None
    if found := set(PATTERN) & set(path):
        raise ConfigError(
            f"the store's address {url!r} has {min(found)!r}, which its library reads as a pattern of names; use none "
            f"of {' '.join(PATTERN)} in it"
        )
    return files, path


def check_bucket(files: AbstractFileSystem, url: str) -> None:
    """Raise ConfigError when the bucket of `url` does not exist or may not be seen."""
    protocol, _, rest = url.partition("://")
    if protocol not in WITH_BUCKETS:
        return
    bucket = f"{protocol}://{rest.split('/')[0]}"
    with errors(bucket, "read"):
        try:
            files.info(bucket)
        except FileNotFoundError:
            raise ConfigError(
                f"the bucket {bucket} does not exist; correct --root (or AXIOM_ROOT), or make the bucket first: axiom "
                f"makes none"
            ) from None


def put_new(files: AbstractFileSystem, path: str, data: bytes, tries: int = TRIES) -> bool:
    """Write `data` to `path` if there is nothing yet, in one step of the store (`If-None-Match`); whether it was so.

    A store that does not know the condition writes in any case.
    """
    try:
        files.pipe_file(path, data, mode="create")
        return True
    except Exception as error:  # noqa: BLE001 (libraries share no kind of error)
        # They say in different ways that there is a file. What is there may be ours: a request whose answer was lost is
        # sent again, and then finds what it wrote.
        try:
            return bool(files.cat_file(path) == data)
        except FileNotFoundError:
            if CONFLICT not in str(error) or tries == 1:
                raise error from None
    time.sleep(CONFLICT_SECONDS)
    return put_new(files, path, data, tries - 1)


@contextmanager
def errors(place: str, done: str) -> Iterator[None]:
    """Around requests to a store for `place`, which is to be `done` ("read", "written"): what failed, in a sentence.

    FileNotFoundError passes, since it is often no error. Raises ConfigError where rights or credentials are missing and
    StorageError where the store or the way to it failed. A bug keeps its traceback.
    """
    try:
        yield
    except (FileNotFoundError, AxiomError):
        raise
    except Exception as error:
        if not (isinstance(error, OSError | EOFError) or _of_a_library(error)):
            raise
        says = f"{place} cannot be {done} ({_reason(error)})"
        if isinstance(error, PermissionError) or any(part in type(error).__name__ for part in WITHOUT_CREDENTIALS):
            raise ConfigError(
                f"{says}; set the store's credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                f"AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ...) and see that they allow it"
            ) from error
        raise StorageError(f"{says}; see that the store can be reached and resume; finished stages are kept") from error


def _of_a_library(error: Any) -> bool:
    """Whether the error is of a kind that neither Python nor axiom defines: what a store's library raises."""
    return type(error).__module__.partition(".")[0] not in {*sys.stdlib_module_names, "builtins", "axiom"}


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return hidden(" ".join(str(text).split())[:300])
