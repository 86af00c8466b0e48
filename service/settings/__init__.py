"""All configuration, frozen. `thoracle.yaml` < files of secrets < environment (THORACLE_RECEIVER__PORT=...).

An unknown key is an error: a misspelt setting never falls back silently to its default.
"""

from service.settings.configuration import (
    Settings,
    load,
    own_repository,
    served_repository,
    trial_ct,
    with_own_repository,
)
from service.settings.destinations import AnyDestination, DicomDestination, WebDestination
from service.settings.inference import default_repository
from service.settings.pipelines import GateLimits, Route
from service.settings.receiver import Caller, Receiver
from service.settings.secret_folders import secret_files
from service.settings.storage import Encryption
from service.settings.tls import Tls, tls_files

__all__ = [
    "AnyDestination",
    "Caller",
    "DicomDestination",
    "Encryption",
    "GateLimits",
    "Receiver",
    "Route",
    "Settings",
    "Tls",
    "WebDestination",
    "default_repository",
    "load",
    "own_repository",
    "secret_files",
    "served_repository",
    "tls_files",
    "trial_ct",
    "with_own_repository",
]
