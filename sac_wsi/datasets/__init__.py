"""Training data: the official layouts of the public sets, their check, their split, and one archive of all.

sample     an image with its labels, read when asked for; a set of them
pixels     what a file of pixels or labels becomes
monuseg, dsb, glas, folders    the layouts
kinds      a layout by its name
split      into parts that share no organ or patient
check      what is wrong with a set, and its statistics; sheet draws it
pack       one archive that trains without the original files
"""
