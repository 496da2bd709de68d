"""Measure GPTs: ``simplegpt evaluate MODEL --tokens FILE``.

`loss` measures the loss on tokens, `choices` the accuracy on multiple-choice questions.
"""
