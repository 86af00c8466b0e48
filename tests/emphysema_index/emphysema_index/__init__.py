"""`emphysema-index`: the part of each lobe below -950 HU. A toy for the tests, and the example of the how-to."""
