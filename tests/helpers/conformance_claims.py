"""A plug-in of pytest that prints which rows of the conformance statement the collected tests name, as JSON."""

import json

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    claims: dict[str, list[str]] = {}
    for item in session.items:
        for mark in item.iter_markers("conformance"):
            for row in mark.args:
                claims.setdefault(row, []).append(item.nodeid)
    print(f"\nCLAIMS {json.dumps(claims)}")
