"""The front door of many Marconi deployments: routing proxy, admin API and command line."""
