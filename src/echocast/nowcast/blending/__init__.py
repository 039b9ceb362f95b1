"""A nowcast blended into the rain of a weather model (NWP), for leads beyond those that a radar alone can tell.

One method a file, each with ``blend(sources) -> Blended`` (`echocast.nowcast.blending.base`):

- ``scales``: weights by lead and scale, from how well nowcast and NWP told the newest frames;
- ``linear``: a weight that rises linearly between two leads;
- ``salient``: the same, and strong rain of either keeps more of its weight;
- ``steps``: the STEPS blending of pysteps, the reference of the field.

`echocast.nowcast.blending.choosing` finds the run to use, and says why there is none;
`echocast.nowcast.blending.blended` makes the forecast.
"""
