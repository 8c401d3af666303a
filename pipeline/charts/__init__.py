"""The drawing kit of reports and documents: SVG, without scripts, links or anything to load.

Each function returns one `<svg>` element as text. Colors are CSS variables with the light ones as
fallbacks (`palette`), so that a page recolors them for light, dark and print, and a file that
holds nothing but the SVG still shows. `svg` escapes all text that is passed in.
"""
