"""Download GPT-2 models from the Hugging Face Hub once; later, read them from its local cache."""

import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from simplegpt.cli import UserError, first_line
from simplegpt.gpt2.weights import WEIGHT_FILES
from simplegpt.progress import OnProgress, no_progress


def find_folder(name: str, progress: OnProgress = no_progress) -> Path:
    """Return the local folder of the hub's model `name`; download what is missing.

    Raises UserError if the hub has no such GPT-2 or cannot be reached.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    try:
        with suppress(EntryNotFoundError):
            return fetch(name, progress, local_files_only=True)
        reach_hub()
        return fetch(name, progress)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"no model '{name}' on Hugging Face's hub") from error
    except EntryNotFoundError as error:
        files = " or ".join(WEIGHT_FILES)
        raise UserError(f"'{name}' on Hugging Face's hub lacks config.json, or {files}") from error
    except Exception as error:  # the hub's library has changed its HTTP client, and so its errors
        raise UserError(
            f"'{name}' is not on this machine and cannot be downloaded from Hugging Face's hub: "
            f"{reason(error)}"
        ) from error


def reason(error: BaseException) -> str:
    """Return the system error that caused an HTTP client's error, else the error's first line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return first_line(error)


def reach_hub() -> None:
    """Raise OSError if the hub cannot be reached.

    One quick request: the hub's own library retries for half a minute.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError:
        return  # any answer will do
    except urllib.error.URLError as error:
        raise OSError(getattr(error.reason, "strerror", None) or str(error.reason)) from error


def fetch(name: str, progress: OnProgress, *, local_files_only: bool = False) -> Path:
    """Return the hub's folder of model `name`. Raises EntryNotFoundError if a file is missing."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def get(file: str) -> Path:
        progress(0.0, f"downloading {file} of {name}")
        return Path(hf_hub_download(name, file, local_files_only=local_files_only))

    folder = get("config.json").parent
    for file in ("vocab.json", "tokenizer.json"):
        with suppress(EntryNotFoundError):
            get(file)
            break
    try:
        get(WEIGHT_FILES[0])
    except EntryNotFoundError:
        get(WEIGHT_FILES[1])
    return folder
