"""Converting between checkpoints, safetensors and ``.npz``: planned first, then carried out in tasks, a file each.

converting.py   what users call
plan.py         which tensor becomes what, and what is left out: no file is written
tasks.py        one file of the target: picklable, so that any executor may run it
running.py      the tasks, one after the other or by an executor
placing.py      the files get their names, once all are written and verified
"""
