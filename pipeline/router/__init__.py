"""The router: from a request to a plan and its first route, with state per recipient. Pure handlers only."""
