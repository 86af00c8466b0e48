"""What the kubelet does with a container's environment."""

import re
from collections.abc import Mapping

from helpers.helm_chart import Manifest


def environment(container: Manifest, secrets: Mapping[str, str]) -> dict[str, str]:
    """Variables in their order: `$(NAME)` stands for an earlier one. secrets: by key; any other is made up."""
    found: dict[str, str] = {}
    for variable in container.get("env") or []:
        if "value" in variable:
            text: str = variable["value"]
            found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], text)
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            key = reference["key"]
            found[variable["name"]] = secrets.get(key, f"{key} of {reference['name']}")
    return found
