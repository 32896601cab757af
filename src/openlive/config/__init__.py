"""The configuration: what can be set (`model`), how it is read (`load`), and the keys in it (`keys`)."""
