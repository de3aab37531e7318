"""How tables come to be and change, one file per step, run by Alembic."""
