#!/usr/bin/env python3
"""Makes the passwords of compose.yaml at the first start, one file for each that reads one: passwords.py FOLDER

FOLDER has a folder for each login, a volume of its own that only its reader mounts. What is there stays as it is. A
password that the environment names (POSTGRES_PASSWORD, GRAFANA_PASSWORD, PACS_PASSWORD) is taken at the first start.
It runs as root with no right but to give files away: it cannot read what it has given.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

# User ids of the images: ours, PostgreSQL's, Grafana's, Orthanc's.
SERVICE, POSTGRES, GRAFANA, ORTHANC = 10001, 999, 472, 0

File = tuple[str, int, str]
"""Path below FOLDER, user who may read it, content."""


def files(login: str, password: str) -> list[File]:
    if login == "POSTGRES":
        url = f"postgresql+psycopg://thoracle:{quote(password, safe='')}@postgres/thoracle"
        return [("service/thoracle_database_url", SERVICE, url), ("database/password", POSTGRES, password)]
    if login == "GRAFANA":
        return [("grafana/password", GRAFANA, password)]
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"trial": password}}
    return [("pacs/users.json", ORTHANC, json.dumps(users))]


def make(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """The logins that were made. One of which a file is missing is made as a whole."""
    made = []
    for login in ("POSTGRES", "GRAFANA", "PACS"):
        wanted = files(login, environment.get(f"{login}_PASSWORD") or secrets.token_urlsafe(24))
        if all((folder / path).exists() for path, _, _ in wanted):
            continue
        for path, user, content in wanted:
            give(folder / path, user, content)
        made.append(login)
    return made


def give(path: Path, user: int, content: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(0o600)
    part.write_text(content, encoding="utf-8")
    os.chown(part, user, user)
    part.replace(path)


def main(folder: Path) -> None:
    made = make(folder, os.environ)
    print(f"passwords made: {', '.join(made)}" if made else "all passwords are there already")
    print("PACS, user trial:    docker compose exec orthanc cat /run/secrets/users.json")
    print("Grafana, user admin: docker compose exec grafana cat /run/login/password")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
