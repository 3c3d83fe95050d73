"""The paper's tables again: what each row is, what it gave here, and both side by side.

paper       every number that the paper prints (paper.json)
runs        what is trained and scored; rows of one run share it
scale       as the paper, or small: all code, no meaning
tables      the rows of each table, figure 4 and the comparison of losses; rows says what a row is
footnotes   where the paper contradicts itself or is silent, and what was chosen
inputs      what the user has; needs, what a run needs and has not
recipe      a run's training config: what the paper leaves open is chosen here
sets        the images to learn from and to score on; audit, what stands in two parts of the split
run_row     one run: learn (or find it learnt), score; history reads its log, tiny is for small scale
results     what a run gave
carry_out   every run of a table, once
parameters  Table 6, counted
sheet       a table ready to be shown; render and plot show it, publish writes the files
"""
