"""Client of OCI and Docker registries."""
