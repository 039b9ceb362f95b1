"""Pictures: the cell that each pixel shows (`mercator`), layers as classes (`planes`), colours (`palettes`), `png`.

`renderer.Renderer` puts them together. A pixel is one of 16 classes: 0 is dry or outside the grid, 1 is not known, 2 to
15 are the classes of the legend. Colours come last, so that another palette costs nothing.
"""
