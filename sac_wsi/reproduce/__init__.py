"""Reproduce the paper's tables: what each row is, our result, and both side by side.

paper            all numbers that the paper prints (paper.json)
runs, scale      what is trained and scored; at the paper's size, or small to try the code
rows, tables     the rows of each table, of figure 4 and of the comparison of losses
footnotes        what was chosen where the paper contradicts itself or leaves something open
inputs           the user's datasets and SAM checkpoints, and what a run still needs
training_config  a run's training config
dataset_images   images for training and scoring; audit checks the split
row_runner       run one row: train_run and history for training, untrained for small scale
results          the result of a run, and the parameter counts of Table 6
run_table        run every row of a table
result_table     the table of results; format_table, plot and write_files write it
"""
