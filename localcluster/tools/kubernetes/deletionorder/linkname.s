// Without an assembly file the compiler refuses functions that have no body; main.go links two by name.
