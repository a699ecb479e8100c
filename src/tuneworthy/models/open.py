"""The base model of a use case, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuneworthy import plugins
from tuneworthy.content import digest, folder_digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import DECIDING, read_object, resolve, weight_files
from tuneworthy.seams import Model
from tuneworthy.usecase import UseCase

SCRIPTED = "scripted"


def open_model(usecase: UseCase, folder: Path) -> Model:
    """Open it: an endpoint where one is named, the scripted fake, or a local model.

    Raises:
        ModelError: it cannot be opened. PrivacyRefused: the privacy posture forbids the endpoint.
    """
    choice = usecase.model
    if choice.endpoint:
        model: Model = plugins.load("models", "openai_compatible")(choice, privacy=usecase.privacy)
    elif choice.base == SCRIPTED:
        model = plugins.load("models", "scripted")(folder)
    else:
        model = plugins.load("models", "local")(choice, hardware=usecase.hardware, folder=folder)
    return model


def require_allowed(usecase: UseCase) -> None:
    """Refuse an endpoint that the privacy posture forbids, before anything is sent or loaded.

    Raises:
        PrivacyRefused: see `openai_compatible.require_allowed`.
    """
    if usecase.model.endpoint:
        from tuneworthy.models.openai_compatible import require_allowed as require

        require(usecase.model.endpoint, usecase.privacy)


def model_name(usecase: UseCase, folder: Path) -> str:
    """Names what `open_model` would open, by the content of its files; loads nothing.

    Raises:
        ModelError: it is not there.
    """
    choice = usecase.model
    if choice.endpoint:
        return digest(["endpoint", choice.endpoint.rstrip("/"), choice.base])
    if choice.base == SCRIPTED:
        return digest(["scripted", folder_digest(folder, ["scripted.json"])])
    place = resolve(choice, folder)
    names = [*DECIDING, *(path.name for path in weight_files(place))]
    return digest(["local", choice.precision, folder_digest(place, names)])


def answer_tokens(usecase: UseCase, folder: Path) -> Callable[[str], int] | None:
    """Counts the tokens of an answer with its stop token; None where the tokenizer is not here. Loads no torch."""
    from tokenizers import Tokenizer

    file = _file(usecase, folder, "tokenizer.json")
    if file is None:
        return None
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids) + 1


def context_tokens(usecase: UseCase, folder: Path) -> int | None:
    """Tokens that the base model takes at once; None where its config.json is not here, or does not say."""
    file = _file(usecase, folder, "config.json")
    most = read_object(file).get("max_position_embeddings") if file else None
    return most if isinstance(most, int) else None


def _file(usecase: UseCase, folder: Path, name: str) -> Path | None:
    """A file of a local base model, if it is here."""
    if usecase.model.endpoint or usecase.model.base == SCRIPTED:
        return None
    try:
        file = resolve(usecase.model, folder) / name
    except ModelError:
        return None
    return file if file.is_file() else None
