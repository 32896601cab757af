"""openlive: a self-hosted server for Google's Live API."""
