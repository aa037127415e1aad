"""The stages: each measures one system once and gives its figures by name; ``run.py`` repeats and interleaves them."""
