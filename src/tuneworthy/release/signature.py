"""Who made this release? A detached OpenSSF model signature over every file, with a key of one's own and offline.

Hashes show that something was changed; a signature shows that nobody else made the whole anew.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tuneworthy.errors import MissingExtra, TuneworthyError

FILE = "model.sig"

_GENERATE = (
    "make a pair: openssl ecparam -name prime256v1 -genkey -noout -out release.key && "
    "openssl ec -in release.key -pubout -out release.pub"
)


def sign(folder: Path, key: Path) -> None:
    """Write `model.sig` into a finished release.

    Args:
        key: private key, PEM, on a NIST curve.

    Raises:
        MissingExtra: the package model-signing is not installed. TuneworthyError: the key cannot be used.
    """
    require(key)
    from model_signing import signing

    try:
        chosen = signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(_hashed(folder))
        chosen.sign(folder, folder / FILE)
    except (ValueError, TypeError) as error:
        raise _no_key(key, str(error)) from error


def problem(folder: Path, key: Path) -> str:
    """What is wrong with the signature of a release, in a sentence; empty when it is good.

    Args:
        key: public key, PEM.

    Raises:
        MissingExtra: the package model-signing is not installed. TuneworthyError: the key cannot be read.
    """
    require(key)
    if not (folder / FILE).is_file():
        return f"it is not signed: {FILE} is missing"
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from model_signing import verifying

    try:
        load_pem_public_key(key.read_bytes())
    except ValueError as error:
        raise _no_key(key, str(error)) from error
    try:
        chosen = verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(_hashed(folder))
        chosen.verify(folder, folder / FILE)
    except Exception as error:  # a signature file can be damaged in any way
        said = str(error).splitlines()[0][:200] if str(error) else "made with another key, or damaged"
        return f"the signature does not hold: {said}"
    return ""


def require(key: Path) -> None:
    """Refuse before anything is built.

    Raises:
        MissingExtra: the package model-signing is not installed. TuneworthyError: there is no such key.
    """
    if find_spec("model_signing") is None or find_spec("OpenSSL") is None:
        raise MissingExtra("model-signing", "sign")
    if not key.is_file():
        raise TuneworthyError("there is no such key", next=_GENERATE, where=str(key))


def _hashed(folder: Path) -> Any:
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[folder / FILE], ignore_git_paths=False)


def _no_key(key: Path, said: str) -> TuneworthyError:
    told = said.splitlines()[0][:150] if said else "unreadable"
    return TuneworthyError(f"the key cannot be used: {told}", next=_GENERATE, where=str(key))
