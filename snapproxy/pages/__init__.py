"""The pages of the service in HTML and JSON. They read the other packages and change nothing.

`site` answers a request: it selects a view and writes it. A view (`now`, `archives`, `captures`, `setup`, `packages`)
returns values, which the templates show and which the JSON has; `service` has the measurements of a running service.
`calendar` and `plots` are pure. No view sends a request to an upstream, and each reads a limited number of rows.
"""
