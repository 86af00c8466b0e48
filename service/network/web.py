"""A DICOMweb service that we call: sessions with it, and questions by QIDO-RS (PS3.18 10.6)."""

import logging
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import responses
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from dicomweb_client import DICOMwebClient
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from service.errors import Permanent
from service.network.peer import unresolved
from service.tls import TlsFiles, client_context
from service.tls import why_not as tls_trouble

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_ANSWER_S = 60.0
TIMEOUT_S = (_CONNECT_S, _ANSWER_S)

NO_ANSWER = (Permanent, OSError, ValueError, LookupError, TypeError, AttributeError)
"""What is raised where a certificate of ours is no use, where there is no answer (requests' exceptions are OSErrors,
urllib3's of a host name that cannot be one are ValueErrors), or none that QIDO-RS knows."""

_TALKATIVE = ("dicomweb_client", "retrying", "urllib3")  # their logs hold UIDs, and tracebacks of what we say in words

_SOP_INSTANCE_UID = "00080018"
_NO_STUDY = "2.25.0"  # valid, and nobody's: asking for it brings no patient's data


@dataclass(frozen=True, slots=True)
class WebNode:
    """A DICOMweb service elsewhere. url: `/studies` and the like are added to it.

    user, password: HTTP Basic authentication. token: Bearer authentication. tls: None: the server's certificate is from
    a public authority. ValueError: these do not fit together.
    """

    name: str
    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("url must be http://host... or https://host..., without user and password")
        if parts.query or parts.fragment:
            raise ValueError("url must end before '?' and '#'")
        if self.token and (self.user or self.password):
            raise ValueError("either user and password or a token")

    @property
    def root(self) -> str:
        """The url without a slash at its end."""
        return self.url.rstrip("/")


def session(node: WebNode) -> requests.Session:
    """An HTTP session with the node. It opens no connection yet. Permanent if a file of ours for TLS is no use."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    http = requests.Session()
    http.trust_env = False  # proxies, passwords and authorities come from the configuration only
    http.max_redirects = 0  # a login page would answer 200 in the service's place
    if node.tls is not None:
        http.mount("https://", _OurTls(client_context(node.tls)))
    if node.user:
        http.auth = HTTPBasicAuth(node.user.encode(), node.password.encode())  # RFC 7617; requests would take Latin-1
    if node.token:
        http.headers["Authorization"] = f"Bearer {node.token}"
    return http


class _OurTls(HTTPAdapter):
    """Connections by a context of ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context says all; requests would believe the authorities of certifi as well."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, ssl_context=self._context, **options)


def check(node: WebNode) -> str | None:
    """QIDO-RS. None if the node answers, else why it does not, in words."""
    try:
        with session(node) as http:
            _client(node, http).search_for_studies(limit=1, search_filters={"StudyInstanceUID": _NO_STUDY})
    except NO_ANSWER as error:
        return why_not(node, error)
    return None


def find_instances(node: WebNode, study_uid: str, sop_instance_uids: Iterable[str]) -> frozenset[str] | None:
    """Which of these instances of a study the node has, by QIDO-RS; None if it does not say.

    Each is asked for alone: a list of UIDs, and answers in several parts, are not understood by all.
    """
    try:
        with session(node) as http:
            client = _client(node, http)
            return frozenset(uid for uid in sop_instance_uids if uid in _found(client, study_uid, uid))
    except NO_ANSWER as error:
        log.warning("%s does not say which objects it has: %s", node.name, why_not(node, error))
        return None


def status_words(status: int) -> str:
    """An HTTP status in words; the server's own words may hold patient data."""
    return f"HTTP {status} {responses.get(status, '')}".rstrip()


def why_not(node: WebNode, error: Exception) -> str:
    """Why there was no answer, or none that we can use, in words. The exception's own hold the URL, and it UIDs."""
    root = _root(error)
    if isinstance(error, Permanent):
        return str(error)
    if isinstance(root, (socket.gaierror, UnicodeError)):
        return unresolved(str(urlsplit(node.url).hostname))
    match error:
        case requests.HTTPError(response=requests.Response(status_code=status)):
            return status_words(status)
        case requests.JSONDecodeError():
            return "the answer is no DICOM JSON"
        case requests.TooManyRedirects():
            return "the server redirects elsewhere"
        case requests.ReadTimeout():
            return f"no answer in {_ANSWER_S:g} s"
    if isinstance(root, ssl.SSLError):
        return f"connection failed: {tls_trouble(root)}"
    if not isinstance(root, OSError) or isinstance(root, requests.RequestException):
        return f"connection failed: {type(root).__name__}"
    return f"connection failed: {getattr(root, 'verify_message', '') or root.strerror or root}"


def _root(error: BaseException) -> BaseException:
    """What the libraries' exceptions were raised for."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _client(node: WebNode, http: requests.Session) -> DICOMwebClient:
    # permissive_uid: an invalid Study Instance UID of a CT is referred to as it came.
    client = DICOMwebClient(node.root, http, permissive_uid=True, timeout=TIMEOUT_S)
    client.set_http_retry_params(retry=False)
    return client


def _found(client: DICOMwebClient, study_uid: str, sop_instance_uid: str) -> set[str]:
    filters = {"SOPInstanceUID": sop_instance_uid}
    matches = client.search_for_instances(quote(study_uid, safe=""), search_filters=filters)
    return {uid for match in matches for uid in match[_SOP_INSTANCE_UID]["Value"]}
