"""Defences, each against attackers who know it, and what each costs honest people.

python -m experiments.defences --data_dir=FOLDER
"""
