"""What engines run on: threads, processes, connections, and how work is cancelled."""
