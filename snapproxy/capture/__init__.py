"""Captures: the record of everything a build was served, and what it is written down as.

`notes` are a capture's lines and what they add up to (pure); `recorder` stands before whatever answers requests and takes the notes;
`captures` keeps captures by name.
"""
