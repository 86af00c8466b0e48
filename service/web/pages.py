"""HTML pages from the templates of this folder. Whatever they show is escaped."""

from functools import cache
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
STYLE_SHEET = _HERE / "static" / "style.css"


def page(template: str, status: int = 200, /, **values: object) -> HTMLResponse:
    """Return the page of a template. A value that the template needs and does not get is an error."""
    return HTMLResponse(_templates().get_template(f"{template}.html").render(values), status)


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
