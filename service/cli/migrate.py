"""`thoracle migrate`."""

from service.cli.options import ConfigOption, failures, out, settings_from
from service.composition.storage import migrate as bring_up


def migrate(config: ConfigOption = None) -> None:
    """Bring the database to the schema of this version, and say so.

    `thoracle serve` does the same when it starts. Alone it lets an upgrade fail before anything is stopped.
    All in one transaction; several at once take turns. Needs nothing but `database_url`, or `data_dir` for SQLite.

    Exit code 0: the database has this version's schema; 1: it cannot be reached, or a newer version made it.

    [bold]Examples[/]

      thoracle migrate --config thoracle.yaml

      THORACLE_DATABASE_URL=postgresql+psycopg://... thoracle migrate
    """
    settings = settings_from(config)
    with failures("Not migrated"):
        before, now = bring_up(settings)
    if before == now:
        out.print(f"The database has schema {now} already.")
    else:
        out.print(f"The database was brought {f'from schema {before} ' if before else ''}to schema {now}.")
