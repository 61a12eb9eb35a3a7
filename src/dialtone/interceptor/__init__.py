"""The interceptor: a proxy between an application and its providers that fails as they do, on demand."""
