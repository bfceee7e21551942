"""From a client's input to values of the model, or to the refusal that the API prescribes.

Pure functions of bytes and limits. For any input, they raise BadInput and nothing else.
"""
