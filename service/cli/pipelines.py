"""`thoracle pipelines`."""

from rich.markup import escape

from service.cli.options import ConfigOption, failures, out, settings_from
from service.evidence.context import segmentation_products
from service.pipelines import PIPELINES


def pipelines(config: ConfigOption = None) -> None:
    """List the analyses that are installed, and which of them run.

    `pipelines` in the configuration names those that run, and which studies each of them gets.

    [bold]Example[/]

      thoracle pipelines --config thoracle.yaml
    """
    with failures():
        running = {one.name: one for one in settings_from(config).pipelines}
        for one in PIPELINES:
            chosen = running.get(one.name)
            state = "[dim]installed[/]" if chosen is None else "[green]runs[/]     "
            out.print(f"{state} [bold]{escape(one.name)}[/] {one.version}: {escape(one.title)}")
            models = ", ".join(role.name for role in one.models)
            out.print(f"          models: {models or 'none'}; series from {one.series_number}")
            files = ", ".join(product.file_name for product in segmentation_products(one.label_maps))
            out.print(f"          segmentations: {files or 'none'}")
            if chosen is not None:
                studies = "all" if not chosen.when else f"those of {len(chosen.when)} rules"
                out.print(f"          studies: {studies}")
