"""The HTTP edge: takes the providers' delivery reports; answers 2xx only for what the log holds."""
