"""A campaign of faults against whole runs: kills, processes at once, flipped bits, wrong flags, data and user code.

    python -m experiments.campaign --minutes=5 --seed=0

Each trial starts the real command as a user does, harms it, and looks at what is left. Right is one of two things: the
rows of an undisturbed run, or an error in a line that says what is wrong. All else is a defect, and its folder is kept.
"""
