"""Reports: plots, tables and the page that shows them."""
