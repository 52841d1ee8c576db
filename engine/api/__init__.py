"""The Docker Engine API over HTTP: a route file per noun."""
