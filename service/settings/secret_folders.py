"""Files of secrets, each named as the variable that it stands for."""

import os
from pathlib import Path

from pydantic_settings import SettingsError

PREFIX = "THORACLE_"


def ours(folder: Path) -> list[Path]:
    """The files of a folder that are named as variables of ours; what else lies there is somebody else's."""
    return [file for file in sorted(folder.iterdir()) if file.name.upper().startswith(PREFIX) and file.is_file()]


def secrets_folders() -> list[Path]:
    """Where files hold settings, each in one named as its variable: systemd's credentials, then our own folder.

    SettingsError if a variable names a folder that is not there.
    """
    known = ("CREDENTIALS_DIRECTORY", "THORACLE_SECRETS")
    named = {name: Path(folder) for name in known if (folder := os.environ.get(name))}
    for name, path in named.items():
        if not path.is_dir():
            raise SettingsError(f"{name} names {path}, which is no folder")
    return list(named.values())


def secret_files() -> list[Path]:
    """The files in these folders."""
    return [file for folder in secrets_folders() for file in ours(folder)]
