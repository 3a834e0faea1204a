"""Errors of this room; the message is for the person who has to act.

Only exception types belong here. They extend `sources.errors.PipelineError`, so a caller that
handles that type handles these.
"""

from __future__ import annotations

from sources.errors import PipelineError


class ExportError(PipelineError):
    """A portal dataset that cannot be prepared; what was published before stays as it is."""


class DefinitionError(ExportError):
    """A document of `exports/datasets/` that cannot be used, or asks for what cannot be given."""


class DisclosureError(ExportError):
    """Publishing this would reveal what must not leave the restricted layer.

    `columns` names those that are not classified as open, when that is the reason.
    """

    columns: tuple[str, ...] = ()


class PortalError(PipelineError):
    """The portal did not take the dataset, or gave back something else than what was sent."""


class ReadBackError(PortalError):
    """What the portal gives back is not what was sent; it has been removed from beside."""
