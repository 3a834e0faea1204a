"""The sample municipality: synthetic data at the city's real size, with known defects.

``build`` makes it, ``serve_api`` serves the part that lives behind an HTTP API. Nothing here
reads real data, and nothing here knows the warehouse.
"""

from seeds.sample.api import ApiServer, serve_api
from seeds.sample.builder import NotASampleFolderError, SampleManifest, build, generator_version
from seeds.sample.config import SEED, SampleSize
from seeds.sample.defects import CATALOGUE, Defect

__all__ = [
    "CATALOGUE",
    "SEED",
    "ApiServer",
    "Defect",
    "NotASampleFolderError",
    "SampleManifest",
    "SampleSize",
    "build",
    "generator_version",
    "serve_api",
]
