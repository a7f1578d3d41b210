"""The handlers of admission requests: changes that belong in the write that creates, binds or scales an object."""
