"""snapproxy makes a package manager see its distribution as it was at one instant."""

__version__ = "0.1.0"
