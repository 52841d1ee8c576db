"""What a browser loads: the page of the dashboard, and the API's documentation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView

PLACEHOLDER = "__CSP_NONCE__"  # written by Vite wherever a nonce belongs
MISSING = "The dashboard is not built. `./hythe up` builds it; the API is at /api/docs/.\n"


def page(request: HttpRequest) -> HttpResponse:
    """Answer the one page with the nonce of this request."""
    try:
        text = (settings.FRONTEND / "index.html").read_text(encoding="utf-8")
    except FileNotFoundError:
        return HttpResponse(MISSING, status=503, content_type="text/plain")
    nonce = str(request.csp_nonce)  # type: ignore[attr-defined] # set by django-csp
    response = HttpResponse(text.replace(PLACEHOLDER, nonce))
    response["Cache-Control"] = "no-cache"
    # Older Safari does not count websockets of the same host under 'self'.
    scheme = "wss" if request.is_secure() else "ws"
    response._csp_update = {"connect-src": [f"{scheme}://{request.get_host()}"]}  # type: ignore[attr-defined]
    return response


@extend_schema(exclude=True)
class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI on the schema; it styles itself inline and writes HTML, nowhere else allowed."""

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Show it."""
        response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response._csp_replace = {
            "style-src": ["'self'", "'unsafe-inline'"],
            "require-trusted-types-for": None,
        }
        return response
