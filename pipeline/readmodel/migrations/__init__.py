"""The steps that make and change the tables, one file each in ``versions``.

A file is never changed once it was released: it is what databases were made by. So it says what it does by itself and
imports nothing of ours.
"""
