"""The pages and the JSON routes, one blueprint a module."""
