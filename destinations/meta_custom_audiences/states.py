"""States of the US and provinces of Canada, of which Meta wants the two letters."""

from __future__ import annotations

_UNITED_STATES = """
alabama al, alaska ak, arizona az, arkansas ar, california ca, colorado co, connecticut ct, delaware de,
districtofcolumbia dc, florida fl, georgia ga, hawaii hi, idaho id, illinois il, indiana in, iowa ia, kansas ks,
kentucky ky, louisiana la, maine me, maryland md, massachusetts ma, michigan mi, minnesota mn, mississippi ms,
missouri mo, montana mt, nebraska ne, nevada nv, newhampshire nh, newjersey nj, newmexico nm, newyork ny,
northcarolina nc, northdakota nd, ohio oh, oklahoma ok, oregon or, pennsylvania pa, puertorico pr, rhodeisland ri,
southcarolina sc, southdakota sd, tennessee tn, texas tx, utah ut, vermont vt, virginia va, washington wa,
westvirginia wv, wisconsin wi, wyoming wy
"""
_CANADA = """
alberta ab, britishcolumbia bc, manitoba mb, newbrunswick nb, newfoundlandandlabrador nl, northwestterritories nt,
novascotia ns, nunavut nu, ontario on, princeedwardisland pe, quebec qc, saskatchewan sk, yukon yt
"""

STATES = dict(entry.split() for entry in (_UNITED_STATES + "," + _CANADA).replace("\n", " ").split(","))
"""Two letters by name, in lower case without spaces."""
