"""What an operator decides of browsers."""

from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

# A source of Content-Security-Policy: an origin, or a scheme; nothing that could end a directive.
Source: TypeAlias = Annotated[str, Meta(pattern=r"^('self'|[a-z][a-z0-9+.-]*:(//[^\s;,'\"]+)?)\Z")]


@final
class WebSettings(Struct, frozen=True, kw_only=True):
    """What browsers are told.

    Attributes:
        hsts_days: over TLS, browsers are told to come by TLS alone for so long; 0: they are not.
        frame_ancestors: who may show our pages in a frame; empty: nobody.
    """

    hsts_days: Annotated[int, Meta(ge=0, le=3650)] = 365
    frame_ancestors: tuple[Source, ...] = ()
