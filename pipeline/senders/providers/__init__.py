"""One module per provider: small functions and tables. Nothing outside a module knows its provider's name or format."""
