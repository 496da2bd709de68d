"""The workbench `simplegpt-tui`: edit a config, train and watch, chat with the result."""
