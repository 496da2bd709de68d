"""The trainer and the engine, as child processes."""
