"""Completes the CycloneDX list of the Python packages: python sbom.py PYTHON.json SITE-PACKAGES PACKAGES OUT.json

Each gets its licence, and Debian's packages come to them, with those that their copyright files name. PACKAGES has a
line for each: name, version and architecture, with tabs between them. They are called those of the system that runs
this, by its /etc/os-release: Debian's, Ubuntu's.
"""

import json
import platform
import re
import sys
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from licences import licence_of
from packageurl import PackageURL
from packaging.utils import canonicalize_name

DOCUMENTS = Path("/usr/share/doc")


def license_python(bom: Bom, site_packages: Path) -> None:
    """Sets the licence of each Python package; SystemExit where one is not known."""
    installed = distributions(path=[str(site_packages)])
    known = {canonicalize_name(one.metadata["Name"]): licence_of(one) for one in installed}
    for component in bom.components:
        component.licenses = [LicenseFactory().make_from_string(known[canonicalize_name(component.name)])]


def add_debian(bom: Bom, packages: Iterable[str], system: Mapping[str, str], documents: Path = DOCUMENTS) -> None:
    """A component for each line of `packages`. system: as in /etc/os-release."""
    distro = "-".join(system[key] for key in ("ID", "VERSION_ID") if key in system)
    named = LicenseFactory()
    for line in packages:
        name, version, architecture = line.split("\t")
        purl = PackageURL("deb", system["ID"], name, version, {"arch": architecture, "distro": distro})
        copyright_file = documents / name / "copyright"
        bom.components.add(
            Component(
                type=ComponentType.LIBRARY,
                name=name,
                version=version,
                purl=purl,
                bom_ref=purl.to_string(),
                licenses=[named.make_with_name(one) for one in licences(copyright_file)],
            )
        )


def licences(copyright_file: Path) -> list[str]:
    """The licences that a Debian copyright file names, by Debian's names.

    Of one that no machine reads: the common licences that it refers to, and the file itself.
    """
    text = copyright_file.read_text(encoding="utf-8", errors="replace") if copyright_file.exists() else ""
    if text.startswith("Format"):  # Debian's DEP 5
        found = re.findall(r"^License:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)
    else:
        referred = re.findall(r"/usr/share/common-licenses/([A-Za-z]+(?:-[0-9]+(?:\.[0-9]+)?)?)", text)
        found = [*referred, f"see {copyright_file}"]
    return sorted(set(found))


def main(python: Path, site_packages: Path, packages: Path, out: Path) -> None:
    bom = Bom.from_json(json.loads(python.read_text(encoding="utf-8")))
    license_python(bom, site_packages)
    add_debian(bom, packages.read_text(encoding="utf-8").splitlines(), platform.freedesktop_os_release())
    what = sorted(str(component.purl) for component in bom.components)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(what))  # the same packages, the same list
    out.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
