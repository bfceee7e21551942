"""The table of requests, one module per noun of the API. Each offers ``SCRIPTS``; ``requests_table`` gathers them."""
