"""The pages of the service in HTML and JSON. They read the other packages and change nothing."""
