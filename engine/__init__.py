"""A container engine: namespaces, cgroups and layers behind the Docker Engine API."""
