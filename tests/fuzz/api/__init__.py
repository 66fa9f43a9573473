"""Schemathesis over the whole API: as two tenants, with keys of every permission level and scope.

`world.py` is who asks and what they must not learn, `planting.py` what there is, `requests_by_schema.py` what is sent.
"""
