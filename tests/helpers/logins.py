"""People and programs that may ask the API in tests, and how they say who they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.login import Means, Person, Role
from service.ops.api import Access
from service.ops.authentication import Authentication

HOSTS = ("testserver",)
"""As which FastAPI's TestClient calls."""

ALL_ROLES = frozenset(Role)


@dataclass(frozen=True)
class Tokens:
    """Tokens without a database: each is its owner's name."""

    people: Mapping[str, Person]
    asked_from: list[str] = field(default_factory=list)

    def find(self, token: str, address: str) -> Person | None:
        self.asked_from.append(address)
        return self.people.get(token)


def people(**roles: frozenset[Role]) -> Tokens:
    """Each by his name with these roles."""
    return Tokens({name: Person(name, Means.TOKEN, of_one) for name, of_one in roles.items()})


EVERYBODY = people(
    ada=ALL_ROLES,
    viewer=frozenset({Role.VIEWER}),
    reviewer=frozenset({Role.REVIEWER}),
    operator=frozenset({Role.OPERATOR}),
    admin=frozenset({Role.ADMIN}),
)
"""ada has every role; the others have the role of their name."""

AUTHENTICATION = Authentication(tokens=EVERYBODY)
ACCESS = Access(AUTHENTICATION, HOSTS)


def as_(name: str) -> dict[str, str]:
    """The header of somebody's requests."""
    return {"Authorization": f"Bearer {name}"}


ADA = as_("ada")
