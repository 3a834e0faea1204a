"""A CKAN portal: what is kept there, what readers are pointed to, and how one becomes the other.

Belongs here: everything that knows CKAN. Does not belong here: what a dataset says of itself
(`metadata.py`), when it may leave (`export.py`), or the order of the states and their record
(`publication.py`, `versions.py`).

Readers never see half a version, because what they are pointed to changes in one call:

* Every file's bytes live under an address of their own, derived from their hash, in one dataset of
  the organisation, `archivo-de-versiones`. It is a dataset as any other because CKAN serves files
  of datasets only, to the public only when they are public, and fails on pages that list a type no
  plug-in knows.
* The public dataset keeps its resources, ids and addresses for ever. Each resource points to the
  bytes of the version in force: CKAN's own download address of the resource redirects there.
* A new version is uploaded beside, read back and compared; then one `package_revise` points every
  resource to it, texts included. Going back is the same call with older pointers.
* DataStore tables live beside in the same way. The public resource names the table in force, and
  its own id is an alias of that table, moved right after the switch.

What others put into our dataset stays: resources, tags, groups and extras that no version of ours
brought are kept. What they change in ours is reported and set right by the next publication.
"""
