"""The content-addressed store of artefacts, on a disk or in an object store.

Begin with store.py, the front door: other folders commit, find, check and remove artefacts through it.

    store.py          commits, finds, checks, drops and removes artefacts; their manifests, counts and damage
    artefacts.py      identifies artefacts by stage and key; computes keys and folders
    files.py          reads and writes files below a root and waits for a root that vanishes
    backends.py       defines the contract of a place for files, with the variant for disks, full or vanished ones
    object_stores.py  reads and writes in object stores (s3, gs and others)
    pins.py           binds groups of models to one pool of accelerators and one software
    leases.py         lets one holder (process) at a time make an artefact while others wait; beats, expiry, who lives
    integrity.py      writes manifests and finds artefacts that differ from them
    copies.py         keeps local copies of what lies in an object store
    blocks.py         stores rows of unfinished artefacts, to resume from
    completions.py    finds completions that the store has already
    verdicts.py       caches the verdicts of programs for all sweeps
    uses.py           reads and writes what each sweep uses; drops models that no sweep needs any more
"""
