"""Coasts, lakes, borders and places of the world, cut to the domain of a grid, for pictures and for the map page.

The lines are Natural Earth's (public domain), the places GeoNames' (CC BY 4.0); ``scripts/basemap`` makes the files.

- ``world``: reads what is vendored;
- ``clip``: cuts lines and areas to a box of degrees;
- ``domain``: the box of a grid, and its lines as columns and rows of the grid;
- ``draw``: draws them with matplotlib;
- ``web``: the same for the page, as JSON.

>>> from echocast.plotting.basemap import world
>>> next(world.places()).name  # the most populous place comes first
'Shanghai'
"""

ATTRIBUTION = "Natural Earth (public domain), GeoNames (CC BY 4.0)"
"""What must stand beside a map that shows places."""
