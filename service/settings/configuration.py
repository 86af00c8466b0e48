"""The whole configuration, and where it comes from."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from service.settings.audit import AuditTrail
from service.settings.comparison import Comparison
from service.settings.destinations import AnyDestination, WebDestination
from service.settings.inference import Analysis, Inference
from service.settings.operation import Api, Monitoring
from service.settings.pipelines import GateLimits, OrNameAlone, PipelineChoice
from service.settings.receiver import Receiver
from service.settings.secret_folders import PREFIX, ours, secrets_folders
from service.settings.storage import Bucket, Encryption, Retention
from service.settings.tls import NamedTls
from service.settings.values import DestinationName

_TRIAL_CT = ("share", "thoracle", "trial-ct")
"""Where the wheel puts demo/ct (pyproject.toml)."""


class Settings(BaseSettings):
    """The whole configuration of one service."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path("data"), description="databases, received images, results; on a local disk")
    database_url: SecretStr | None = Field(
        None, description="postgresql+psycopg://user:password@host/database; default: SQLite files in `data_dir`"
    )
    database_tls: NamedTls = Field(
        None, description="TLS of PostgreSQL, whose certificate is checked (sslmode=verify-full); null: as its URL says"
    )
    bucket: Bucket | None = Field(
        None, description="where received images and results are kept; default: the folder `data_dir`"
    )
    encryption: Encryption = Encryption()
    pipelines: tuple[Annotated[PipelineChoice, OrNameAlone()], ...] = Field(
        (PipelineChoice(name="covid-severity"),),
        min_length=1,
        description="which analyses to run, each a name or a name with rules, e.g. [covid-severity, {name: another, "
        "when: [{kernel: [B3*]}]}]; a study that several take has a job for each. As a variable: JSON",
    )
    institution: str = Field("", description="printed on the report where the CT names none")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    receiver: Receiver = Receiver()
    destinations: dict[DestinationName, AnyDestination] = Field(
        default_factory=dict, description="name: destination; results go to every one whose rules match"
    )
    retention: Retention = Retention()
    audit: AuditTrail = AuditTrail()
    inference: Inference = Field(default_factory=Inference)
    analysis: Analysis = Analysis()
    comparison: Comparison = Comparison()
    limits: GateLimits = GateLimits()
    api: Api = Api()
    monitoring: Monitoring = Monitoring()

    @model_validator(mode="before")
    @classmethod
    def _several_pipelines(cls, values: Any) -> Any:
        """Until version 0.2 there was one. Of variables that are no settings pydantic tells nothing."""
        one = os.environ.get("THORACLE_PIPELINE")
        if isinstance(values, dict) and (one := values.get("pipeline", one)) is not None:
            raise ValueError(f"`pipeline` is a list now: pipelines: [{one}]")
        return values

    @model_validator(mode="after")
    def _each_pipeline_once(self) -> Self:
        names = [one.name for one in self.pipelines]
        if len(set(names)) < len(names):
            raise ValueError("pipelines: each is named once; its `when` may have several rules")
        return self

    @model_validator(mode="after")
    def _database_is_told_once(self) -> Self:
        if self.database_tls is None:
            return self
        if self.database_url is None:
            raise ValueError("database_tls is for PostgreSQL: it needs database_url")
        if self.database_tls.ca is None:
            raise ValueError("database_tls.ca: PostgreSQL's client knows no authority of this machine")
        if any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(self.database_url.get_secret_value()).query)):
            raise ValueError("database_tls: leave ssl... out of database_url")
        return self

    @model_validator(mode="after")
    def _archive_is_a_destination(self) -> Self:
        name = self.comparison.archive
        if name is not None and not isinstance(self.destinations.get(name), WebDestination):
            raise ValueError(f"comparison.archive: there is no destination {name} of kind dicomweb")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = _Secrets(file_secret_settings, secrets_folders(), "error", secrets_nested_delimiter="__")
        return init_settings, env_settings, secrets, YamlConfigSettingsSource(settings_cls)


class _Secrets(NestedSecretsSettingsSource):
    """Files that are named as variables of ours; what else lies beside them is somebody else's."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        return {file.name: _secret_in(file) for file in ours(path)}


def _secret_in(file: Path) -> str:
    """What it holds; SettingsError, with its name, if it cannot be read or is named as no setting is."""
    if file.name.upper().removeprefix(PREFIX).partition("__")[0].lower() not in Settings.model_fields:
        raise SettingsError(f"{file}: no setting is called so")
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} holds no text") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error


def trial_ct(settings: Settings) -> Path | None:
    """The CT on which models are tried: the configured one, that of the source tree or that which was installed."""
    tree, installed = Path(__file__).resolve().parents[2] / "demo" / "ct", Path(sys.prefix, *_TRIAL_CT)
    known = (settings.inference.trial_ct, *(folder for folder in (tree, installed) if folder.is_dir()))
    return next((folder for folder in known if folder), None)


def own_repository(settings: Settings) -> Path:
    """The model repository a site may change: the configured one, else one in `data_dir`; never the shipped one."""
    configured = "repository" in settings.inference.model_fields_set
    return settings.inference.repository if configured else settings.data_dir / "models"


def served_repository(settings: Settings) -> Path:
    """A site's own may have come in place of the shipped one since the settings were read."""
    return with_own_repository(settings).inference.repository


def load(config: Path | None) -> Settings:
    """Settings from an optional YAML file and the environment; pydantic.ValidationError names what is wrong."""

    class Loaded(Settings):
        model_config = SettingsConfigDict(yaml_file=config)

    return with_own_repository(Loaded())


def with_own_repository(settings: Settings) -> Settings:
    """The same settings with the site's own repository, if it has one by now."""
    own = own_repository(settings)
    if own == settings.inference.repository or not (own / "SHA256SUMS").is_file():
        return settings
    return settings.model_copy(update={"inference": settings.inference.model_copy(update={"repository": own})})
