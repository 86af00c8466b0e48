"""`thoracle models`: lists the models, installs others as new versions, and removes versions.

What becomes of a version that is installed is in `model_life`.
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape

from service.cli import model_life
from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.cli.progress import trying
from service.composition import audit_trail
from service.composition.model_actions import open_model_actions, own_models, shipped_models
from service.domain.model_spec import ModelSpec
from service.errors import Permanent
from service.inference import install, repository
from service.inference.files import DIGESTS, read_digests
from service.pipelines import MODEL_ROLES
from service.rollout.model_actions import described
from service.settings import Settings, served_repository, trial_ct
from service.store.audit import DONE

LUNGMASK = "lungmask"

_COLOURS = {"active": "[green]", "candidate": "[yellow]", "previous": "[dim]", "installed": "[dim]"}

_EXTRA = (
    "Converting needs torch and lungmask, which the service itself does without. Install them: "
    "pip install 'thoracle[lungmask]' (in a source tree: pip install -e '.[lungmask]')"
)

models = typer.Typer(
    no_args_is_help=True,
    help="""The models behind the results: list them, install better ones, try them, go back.

    A model's name is its role. [bold]lung-opacity[/], [bold]lobes[/] and [bold]opacity-context[/] are shipped; a
    model [bold]lungs[/], once promoted, finds the lungs instead of lung-opacity.
    One version of each is active. Another one may be its candidate: it analyses
    a share of the studies ([bold]canary[/]), or all of them without anybody being shown
    its results ([bold]shadow[/]). A running service takes up every change with its next
    study. Every result names its models with version and SHA-256, and says so
    when one is not Thoracle's own.

    The shipped models are never changed: they are copied to `models` in the
    data directory (or to `inference.repository`, where the configuration names
    one), and changes are made there.

    [bold]Examples[/]

      thoracle models list

      thoracle models add lungmask

      thoracle models promote lobes 2

      thoracle models rollback lobes
    """,
)
model_life.add_to(models)


@models.command("list")
def list_(config: ConfigOption = None) -> None:
    """Every version of every model, with its digest, licence and origin.

    [bold]Example[/]

      thoracle models list --config thoracle.yaml
    """
    settings = settings_from(config)
    with failures():
        root = served_repository(settings)
        found = described(root)
        out.print(f"model repository {escape(str(root))}")
        for one in found:
            origin = f"from {one['source']}" if one["source"] else "released with Thoracle"
            trial = model_life.trial(one["share"], one["shadow"])
            state = f"{_COLOURS[one['state']]}{one['state']:9}[/]"
            out.print(f"{state} [bold]{escape(one['name'])}[/] version {one['version']}{trial}, {escape(origin)}")
            out.print(f"          licence: {escape(one['licence'])}")
            out.print(f"          sha256: {one['sha256']}")
        for name in MODEL_ROLES.keys() - {one["name"] for one in found}:
            out.print(f"none      [bold]{name}[/] ({MODEL_ROLES[name].purpose})")
        here = {one["sha256"] for one in found}
        shipped = shipped_models()
        for key, digest in read_digests(shipped).items():
            if digest not in here:
                add = f"thoracle models add {escape(str(shipped / key))}"
                out.print(f"[yellow]not here[/] {escape(key)}, shipped with this version: {add}")


@models.command()
def init(config: ConfigOption = None) -> None:
    """Copy the shipped models to a repository of your own. `add` does it by itself where there is none.

    [bold]Example[/]

      thoracle models init --config thoracle.yaml
    """
    settings = settings_from(config)
    with failures():
        _create(settings, own_models(settings))


@models.command()
def add(
    what: Annotated[str, typer.Argument(metavar="lungmask|FILE.onnx", help="A known package, or a model file.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="lungmask: a weight file (.pth) to take instead of a download; may be repeated."),
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="FILE.onnx: its description (TOML); not needed where it is inside.")
    ] = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            help="Refuse a file with another digest. One for each file, in their order; without it, a weight file has "
            "to be a published one."
        ),
    ] = None,
    ct: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="lungmask: a chest CT to compare the converted network on; default: `inference.trial_ct`."
        ),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the active version, too.")] = False,
    config: ConfigOption = None,
) -> None:
    """Install a better model as a new version; nothing that is served changes until it is promoted.

    [bold]lungmask[/]: the published networks R231 (becomes lungs) and LTRCLobes
    (becomes lobes), Apache-2.0. They are downloaded, converted to ONNX and
    compared with the originals on real slices. Without internet, fetch the
    weight files elsewhere and name them with --weights.

    [bold]FILE.onnx[/]: any network that fits a role, described in a TOML file. A file
    that Thoracle has converted on another machine carries its description.

    Nothing is installed unless the digest is right (the published one, or that of
    --sha256), the model fits its role and a trial run succeeds. More: docs/how-to/install-better-models.md

    [bold]Examples[/]

      thoracle models add lungmask

      thoracle models add lungmask --weights unet_r231-d5d2fc3d.pth

      thoracle models add lobes.onnx --spec lobes.toml --promote
    """
    if what == LUNGMASK and spec:
        raise typer.BadParameter("--spec belongs to FILE.onnx; what lungmask's networks eat and give is known.")
    if what != LUNGMASK and (weights or ct):
        raise typer.BadParameter("--weights and --ct belong to lungmask.")
    settings = settings_from(config)
    with failures():
        own = own_models(settings)
        base = own if (own / DIGESTS).exists() else shipped_models()
        try:
            if what == LUNGMASK:
                described = _lungmask(weights or [], sha256 or [], ct or trial_ct(settings))
            else:
                described = [_file(Path(what), spec, sha256 or [])]
            prepared = [install.prepare(base, model, each, MODEL_ROLES) for model, each in described]
        except Permanent as error:
            audit_trail.note_denial(settings, who(), "add", Path(what).name, str(error))
            raise
        if base != own:
            _create(settings, own)
        operator = open_model_actions(settings)
        for one in prepared:
            done = operator.add(one.content, one.spec, who())
            out.print(f"[green]installed[/] {escape(done.name)} version {done.version}, {one.seconds:.2g} s per image")
            out.print(f"  sha256 {done.sha256}")
            if promote:
                with trying() as progress:
                    changed = operator.promote(done.name, done.version, who(), progress)
                model_life.tell(done.name, changed)
            else:
                out.print(f"  it is not served yet: thoracle models promote {done.name} {done.version}")
        out.print(f"in {escape(str(own))}")


@models.command()
def remove(
    name: Annotated[str, typer.Argument(help="The model, as `thoracle models list` names it.")],
    version: Annotated[str | None, typer.Option(help="Which version; default: the active one.")] = None,
    config: ConfigOption = None,
) -> None:
    """Remove a version of a model. If it was active, the one before it is active again.

    If none was before it, promote another one first; the last version of a model
    goes only if no pipeline that runs needs it.

    [bold]Examples[/]

      thoracle models remove lobes

      thoracle models remove lungs --version 1
    """
    settings = settings_from(config)
    with failures():
        active = open_model_actions(settings).remove(name, version, who())
        out.print(f"{name}: version {active.version} is active" if active else f"{name}: none is active")


def _create(settings: Settings, own: Path) -> None:
    repository.create(own, shipped_models())
    audit_trail.new_audit(settings).note(who(), "init", "models", DONE)
    out.print(f"model repository {escape(str(own))}: made from the shipped models, and used from now on")


def _checked(paths: Sequence[Path], expected: Sequence[str]) -> list[str]:
    """Print and return the digest of every file; Permanent if one is not the expected."""
    if len(expected) > len(paths):
        raise Permanent(f"There are {len(expected)} digests for {len(paths)} files.")
    digests = [install.check_digest(path, digest) for path, digest in zip_longest(paths, expected)]
    for path, digest in zip(paths, digests, strict=True):
        out.print(f"{escape(str(path))}: sha256 {digest}")
    return digests


def _file(path: Path, spec: Path | None, expected: Sequence[str]) -> tuple[bytes, ModelSpec]:
    (digest,) = _checked([path], expected)
    return path.read_bytes(), install.describe(path, digest, spec, read_digests(shipped_models()).values())


def _lungmask(weights: Sequence[Path], expected: Sequence[str], ct: Path | None) -> list[tuple[bytes, ModelSpec]]:
    """Every network, converted and compared; downloaded if no file is named."""
    try:
        from converters import lungmask, slices
    except ImportError as error:
        raise Permanent(f"{_EXTRA} ({error})") from error
    if ct is None:
        raise Permanent("Name a folder with a chest CT to compare the converted network on: --ct FOLDER")
    described = []
    with TemporaryDirectory() as folder:
        if not weights:
            out.print(f"downloading {', '.join(lungmask.PUBLISHED)}")
            weights = [lungmask.download(name, Path(folder)) for name in lungmask.PUBLISHED]
        for path, digest in list(zip(weights, _checked(weights, expected), strict=True))[len(expected) :]:
            lungmask.check_published(path, digest)
        real = slices.body_crops(ct, lungmask.SIZE, lungmask.WINDOW_HU)
        for path in weights:
            where = escape(str(ct))
            out.print(
                f"converting {escape(path.name)} and comparing it on {len(real)} slices of {where} (a minute or two)"
            )
            converted = lungmask.convert(path, real)
            out.print(f"  {converted.spec.name}: {converted.fidelity}")
            described.append((converted.model, converted.spec))
    return described
