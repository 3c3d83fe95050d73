"""Charts as SVG, drawn without a plotting library.

markup      elements of HTML and SVG, escaped by markupsafe
axis        the scale of an axis and its round ticks
line_chart  lines with their names, for training curves
dot_plot    rows of marks in panels, for a table's scores

Matplotlib could draw them too, but it is a large dependency for so few shapes. These charts
also have the same bytes on every machine, take their colours from a page's style (light or dark), and have
a title on each mark.
"""
