"""The model: its replies, the functions that it calls, and how its turns end."""
