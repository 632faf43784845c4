"""Attackers whose crafted samples are trained on first, and then deleted: every digest and exact unlearning says yes.

python -m experiments.defences.contributors --data_dir=FOLDER
"""
