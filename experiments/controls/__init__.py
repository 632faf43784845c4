"""What a push does beside what else could do it: a longer honest step, honest requests as people make them.

python -m experiments.controls --data_dir=FOLDER
"""
