"""What scripts/demo installs is locked, hashes included, and its bill of materials is of the same versions."""

import json
import re

from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.test_licences import closure

LOCK = ROOT / "locks" / "films.txt"


def locked() -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes by package."""
    text = LOCK.read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)(?: ; [^-]*)?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert match, f"not a version with hashes: {line[:80]}"
        found[match[1].lower()] = (match[2], match[3].split())
    return found


def test_the_lock_has_all_that_is_installed_and_fits_the_ranges() -> None:
    packages = locked()
    assert closure("ganimation").keys() <= packages.keys()
    declared = (ROOT / "pyproject.toml").read_text()
    for name in ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "rich", "av"):
        wanted = re.search(rf'"({name}>=[^"]+)"', declared)
        assert wanted
        assert Requirement(wanted[1]).specifier.contains(packages[name][0]), wanted[1]


def test_the_lock_and_the_constraints_are_of_the_same_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if "==" in line)
    packages = locked()
    assert {"numpy", "pillow", "av"} <= packages.keys() & pinned.keys()
    assert all(packages[name][0] == pinned[name] for name in packages.keys() & pinned.keys())


def test_the_bill_of_materials_is_of_the_lock() -> None:
    content = json.loads((ROOT / "locks" / "films.cdx.json").read_text())
    assert content["bomFormat"] == "CycloneDX"
    components = {entry["name"].lower(): entry["version"] for entry in content["components"]}
    assert components.keys() <= locked().keys()
    assert all(locked()[name][0] == version for name, version in components.items())
