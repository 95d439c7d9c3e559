"""Turning a checkpoint into one safetensors file, from the start of a process to its end."""
