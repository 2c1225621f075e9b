"""`python -m dbslo`."""

from dbslo.cli import main

main(prog_name="dbslo")
