"""The page over HTTP, for this machine alone: one lock before the model, HTML for people and JSON for programs."""

import threading
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from ...decisions.goal import Cap
from ...decisions.recommendation import Recommendation
from ...display import number
from ...forecasting.risk import parts
from ...inference.twin import Twin
from ...patient.require import require_probability
from ...patient.units import span
from . import svg
from .answer import Asked, answer, compared, events, frequency, narrowing, of_fifty, standing, unsure
from .treatments import Treatment, treatments

HOST, PORT = "127.0.0.1", 8765
_FINDING = ("what", "verdict", "evidence", "action")
NOTICE = "Research software, not a medical device."
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
_HEADERS = {
    "Content-Security-Policy": _POLICY + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Bedside:
    """One twin, what may be changed about it, and the lock before the model; made for the time of a server.

    Parameters
    ----------
    twin : Twin
    caps : mapping of str to Cap, optional
    """

    def __init__(self, twin: Twin, caps: Mapping[str, Cap] | None = None):
        self.twin, self.offered, self.events = twin, treatments(twin, caps), events(twin)
        self.lock = threading.Lock()
        self.templates = jinja2.Environment(
            loader=jinja2.FunctionLoader(_file), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        self.templates.globals.update(
            number=number, span=span, frequency=frequency, of_fifty=of_fifty, notice=NOTICE, svg=_marked
        )

    def _render(self, name: str, **values: Any) -> str:
        return self.templates.get_template(name).render(twin=self.twin, offered=self.offered, **values)

    def page(self, query: Mapping[str, str]) -> str:
        """Return the whole page."""
        model, outputs = type(self.twin.model).__name__, tuple(self.twin.model.quantities(self.twin.model.Output))
        asked = Asked.read(query, self.offered)
        first = self.answered(query)
        return self._render(
            "page.html", standing=standing(self.twin), first=first, asked=asked, model=model, outputs=outputs,
            events=self.events,
        )  # fmt: skip

    def answered(self, query: Mapping[str, str]) -> str:
        """Return the part of the page that follows the sliders."""
        found = answer(self.twin, Asked.read(query, self.offered), self.offered)
        names = [str(name) for name in found.ahead.group("predicted_outputs").data_vars]
        seen = [name for name in names if name in self.twin.record.observations] or names[:1]
        units = {one.name: one.unit for one in self.offered}
        pictures = [
            (name, self._unit(name), svg.fan(self.twin, found, name, units), svg.cells(found, name)) for name in seen
        ]
        return self._render(
            "answer.html", answer=found, pictures=pictures, standing=standing(self.twin), units=units,
            clocked=found.ahead.origin is not None,
        )  # fmt: skip

    def _unit(self, name: str) -> str:
        return self.twin.model.quantities(self.twin.model.Output)[name].unit

    def reasons(self, query: Mapping[str, str]) -> str:
        """Return why the twin is not sure."""
        return self._render("why.html", rows=unsure(self.twin))

    def options(self, query: Mapping[str, str]) -> str:
        """Return a few values of one treatment side by side."""
        return self._render("options.html", found=self._compared(query))

    def next(self, query: Mapping[str, str]) -> str:
        """Return which measurement would narrow the forecast most."""
        return self._render("next.html", found=narrowing(self.twin))

    def _compared(self, query: Mapping[str, str]) -> Recommendation:
        event, most = query.get("limit", ""), query.get("most", "0.05")
        name, comparison, size, unit = parts(event)
        try:
            allowed = float(most)
        except ValueError:
            raise ValueError(f"The probability allowed must be a number, but is {most[:20]!r}.") from None
        require_probability("most", allowed)
        limits = {f"{name} {comparison} {size} {unit}": allowed}
        asked = Asked.read({k: v for k, v in query.items() if k in ("hours", "key")}, self.offered)
        return compared(self.twin, self.offered, query.get("treatment", ""), query.get("goal", ""), limits, asked)

    def answer_json(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer as numbers."""
        return answer(self.twin, Asked.read(query, self.offered), self.offered).to_json() | {"notice": NOTICE}

    def standing_json(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the verdict, its reasons, and what the page offers to change."""
        found = standing(self.twin)
        return {
            "verdict": found.verdict,
            "headline": found.headline,
            "grayed": list(found.gray),
            "findings": [dict(zip(_FINDING, row, strict=True)) for row in found.findings],
            "treatments": [_plain(one) for one in self.offered],
            "notice": NOTICE,
        }  # fmt: skip

    def options_json(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the comparison as numbers; ranks are null where the twin abstains."""
        found = self._compared(query)
        return {
            "headline": found.headline,
            "abstains": found.abstains,
            "reasons": [str(reason) for reason in found.reasons],
            "caveats": list(found.caveats),
            "options": [
                {"option": o.name, "rank": o.rank, "within": o.feasible, "why": o.why,
                 "risks": [{"event": r.event, "probability": r.probability, "mcse": r.mcse} for r in o.risks]}
                for o in found.options
            ],
            "notice": NOTICE,
        }  # fmt: skip


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _marked(part: str, *given: Any) -> Any:
    """Return a picture of this package, whose own words are escaped already, as it is."""
    return Markup(getattr(svg, part)(*given))


def _plain(one: Treatment) -> dict[str, Any]:
    now = None if one.now != one.now else one.now
    return {"name": one.name, "unit": one.unit, "least": one.least, "most": one.most, "now": now, "cap": one.cap}


def site(twin: Twin, *, caps: Mapping[str, Cap] | None = None, hosts: tuple[str, ...] = (HOST, "localhost")) -> Any:
    """Return the page as an ASGI application.

    Parameters
    ----------
    twin : Twin
    caps : mapping of str to Cap, optional
        What no slider passes, by input; elsewhere the page's own ranges.
    hosts : tuple of str
        Names under which it answers; another page on the web cannot reach it under a name of its own.

    Returns
    -------
    application : starlette.applications.Starlette

    Raises
    ------
    ModuleNotFoundError
        If the extra `app` is not installed.
    ValueError
        If a cap names no input of the model.
    """
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response
        from starlette.routing import Route
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("The page needs the extra `app`: pip install 'twinprob[app]'.") from error
    bedside = Bedside(twin, caps)

    def route(path: str, said: Callable[[Mapping[str, str]], Any], plain: bool) -> Route:
        def locked(query: Mapping[str, str]) -> Any:
            with bedside.lock:
                return said(query)

        async def respond(request: Request) -> Response:
            status = 200
            try:
                found = await run_in_threadpool(locked, dict(request.query_params))
            except (ValueError, TypeError) as error:
                status, found = 422, {"error": str(error)} if plain else bedside._render("error.html", said=str(error))
            return (JSONResponse if plain else HTMLResponse)(found, status, _HEADERS)

        return Route(path, respond, methods=["GET"])

    def static(name: str, kind: str) -> Route:
        async def respond(request: Request) -> Response:
            return Response(_file(name), headers=_HEADERS, media_type=kind)

        return Route(f"/{name}", respond, methods=["GET"])

    pages = {"/": bedside.page, "/answer": bedside.answered, "/why": bedside.reasons, "/options": bedside.options,
             "/next": bedside.next}  # fmt: skip
    plain = {"answer": bedside.answer_json, "standing": bedside.standing_json, "options": bedside.options_json}
    routes = [route(path, said, plain=False) for path, said in pages.items()]
    routes += [route(f"/api/{name}", said, plain=True) for name, said in plain.items()]
    routes += [static("page.css", "text/css"), static("page.js", "text/javascript")]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


def serve(twin: Twin, *, port: int = PORT, caps: Mapping[str, Cap] | None = None) -> None:
    """Serve the page to this machine alone, until interrupted.

    Parameters
    ----------
    twin : Twin
    port : int
    caps : mapping of str to Cap, optional
        As for `site`.

    Raises
    ------
    ModuleNotFoundError
        If the extra `app` is not installed.
    """
    application = site(twin, caps=caps)
    import uvicorn

    uvicorn.run(application, host=HOST, port=port, log_level="warning", server_header=False)
