"""The warehouse: where it is, how it is started, and the versions of its schemas and roles."""
