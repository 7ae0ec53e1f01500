"""What is installed by default is under permissive licences: nobody gets copyleft unasked."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

PERMISSIVE = ("MIT", "BSD", "Apache", "HPND", "PSF", "Python Software Foundation", "0BSD", "Zlib", "CC0", "ISC")
COPYLEFT = re.compile(r"\b(GPL|AGPL|LGPL|MPL|EUPL|CDDL|GNU)\b", re.IGNORECASE)
#: Wheels bundle libraries of others under these; NOTICE says so.
BUNDLED = {"numpy": "GCC", "opencv-python-headless": "LGPL"}


def closure(name: str) -> dict[str, Distribution]:
    """Return what a package needs without extras, itself not among them."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        for text in distribution(waiting.pop()).requires or []:
            wanted = Requirement(text)
            key = wanted.name.lower().replace("_", "-")
            if key not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
                found[key] = distribution(wanted.name)
                waiting.append(wanted.name)
    return found


def licence(package: Distribution) -> str:
    """Return what a package says of its licence: an SPDX expression, or its classifiers and first line."""
    about = package.metadata
    classifiers = [text for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    expression = about.get_all("License-Expression") or []
    return " ".join(expression or [*classifiers, *(text.split("\n")[0] for text in about.get_all("License") or [])])


def test_the_default_install_is_small_and_permissive() -> None:
    try:
        packages = closure("ganimation")
    except PackageNotFoundError as error:
        pytest.skip(f"{error} is not installed")
    assert {"numpy", "onnxruntime", "opencv-python-headless", "pillow", "rich"} <= set(packages)
    assert len(packages) <= 20, sorted(packages)
    for name, package in packages.items():
        text = licence(package)
        assert any(word.lower() in text.lower() for word in PERMISSIVE), (name, text)
        if COPYLEFT.search(text):
            assert name in BUNDLED, (name, text)
