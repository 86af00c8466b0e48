"""Inbound CTs that failed at some hospital: each is built from the demo CT, analysed, and compared with what is right.

`python -m tests.inbound` analyses all of them and writes docs/reference/inbound-cases.md.
"""
