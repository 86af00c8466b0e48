"""`covid-severity`: lungs, five lobes, opacities and the CT severity score; README.md tells what it does and cannot."""
