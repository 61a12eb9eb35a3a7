"""The edge: the proxy in front of the application processes, as a hosting platform has one."""
