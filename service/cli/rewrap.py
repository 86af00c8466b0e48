"""`thoracle rewrap`."""

from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.composition.encryption import rewrap as wrap_again


def rewrap(config: ConfigOption = None) -> None:
    """Wrap the keys of encrypted files with the new master key, while the service works.

    Files stay as they are. First name the new key in `encryption.old_master_keys` and restart all processes; then
    exchange it with `encryption.master_key` and restart them again. Afterwards the old one can go. Can be run again.

    [bold]Example[/]

      thoracle rewrap --config thoracle.yaml
    """
    settings = settings_from(config)
    with failures("Not rewrapped"):
        changed = wrap_again(settings, who())
    out.print(f"{changed} keys are wrapped with the new master key; old_master_keys can go at the next restart")
