"""The three ways to run stage 2: embedded, native, Faust."""
