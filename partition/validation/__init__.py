"""From what a client sent to values of the model, or to the refusal that the API prescribes.

Pure functions of bytes and limits. They raise BadInput and nothing else, whatever they are given.
"""
