"""Which functions a request asks for, and with which arguments."""
