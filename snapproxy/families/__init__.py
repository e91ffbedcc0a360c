"""One file per package manager: how it names, promises and checks files, and what its client insists on."""
