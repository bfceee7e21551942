"""The part of the build that setup.cfg cannot describe. Without a compiler, the package is built without it."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("serving._head_recogniser", ["serving/_head_recogniser.pyx"], optional=True)])
