"""The analysis of one study: choose, read, analyse, encode; watched while it runs."""
