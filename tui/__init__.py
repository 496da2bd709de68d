"""The workbench `simplegpt-tui`: edit a config, train and watch, talk to what was trained."""
