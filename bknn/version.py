"""The version of bknn."""

VERSION = "0.1.0"
