"""Timer, HTTP API and dashboard on 127.0.0.1, without the Functions host: the routes of `provisioning.api` on a web
server of this process, and cycles that this process drives.
"""
