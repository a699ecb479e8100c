"""The base model of a use case, wherever it runs."""

from __future__ import annotations

from pathlib import Path

from tuneworthy import plugins
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
