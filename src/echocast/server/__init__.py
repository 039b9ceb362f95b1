"""The server: what `echocast watch` published, over HTTP. It reads files only, and imports neither torch nor xarray.

`snapshot` is what is published at a moment, never changed; `service` holds the newest one and what requests share;
`app.create_app` puts the routes together. A part of the interface is a module with a function ``add(app, service)``,
named in `app.PARTS`. A handler takes `service.snapshot` once, and so answers from one state of the folder.
"""
