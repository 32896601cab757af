"""The embedded language model: llama.cpp in this process."""
