"""Prints the lowest versions that setup.cfg promises, one a line."""

import configparser
import pathlib

parser = configparser.ConfigParser()
parser.read(pathlib.Path(__file__).parents[1] / "setup.cfg")
for requirement in parser["options"]["install_requires"].split():
    name, version = requirement.split(">=")  # each has a lowest version
    print(f"{name}=={version}")
